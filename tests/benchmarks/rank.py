"""How much `rank` saves: one user and N candidates, against the same rows tiled through `serving_default`.

Both are called in this process from raw values, encoding included, as a server would call them; nothing crosses a wire.
Rounds alternate between the ways, so that all meet the same load of the machine. Where a model has an attention by the
candidate, a third way is the tiled rows through its plain first layer, on the whole concatenation: how it is commonly
built, and slower than our own `serving_default`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple
from unittest import mock

import numpy as np
import tensorflow as tf

from pipeline import inference, requests, wire
from pipeline.builder import Built
from pipeline.gates import tile
from pipeline.inference import InferenceSignature
from pipeline.items import load as load_items
from pipeline.layers.target_attention import TargetAttention
from pipeline.prepared import Prepared
from pipeline.rows import Rows, take
from pipeline.schema import Sequence as SequenceFeature

CANDIDATES = (100, 300, 1000)
WARM_UP = 3


@dataclass(frozen=True)
class Measurement:
    """Both ways at one number of candidates. Times are medians over the rounds, ratios tiled / rank."""

    model: str
    candidates: int
    history: int
    """Cells of the longest sequence; 0 where the model reads none."""
    tiled_milliseconds: float
    rank_milliseconds: float
    ratio: float
    """Median of the ratios of the rounds."""
    quartiles: Tuple[float, float]
    cpu_ratio: float
    """Of the processor time of all rounds: what both cost where cores are busy with other requests."""
    plain_ratio: Optional[float]
    """As `ratio`, with the plain attention in place of our tiled one; None for a model without it."""
    bytes_ratio: float
    """Of the request, as the cells of its tensors."""
    rounds: int


def measure(
    built: Built,
    prepared: Prepared,
    candidates: Sequence[int] = CANDIDATES,
    history: Optional[int] = None,
    rounds: int = 15,
) -> List[Measurement]:
    """The row with the longest sequences, cut to `history` cells where that is given, at each number of candidates.

    Sequences are sent padded to their maximum, as clients of fixed shape do. AssertionError if the two ways disagree.
    """
    items = load_items(prepared)
    by_name = {signature.name: signature for signature in inference.signatures(built, None)}
    rank, pointwise = by_name["rank"], by_name["serving_default"]
    row = _row(built, prepared, history)
    measured = []
    for count in candidates:
        asked = requests.request(rank, built, row, items, candidates=count)
        tiled = tile(asked, rank.described(), pointwise.described())
        calls = {"tiled": _call(pointwise, tiled), "rank": _call(rank, asked)}
        if hasattr(built.model, "attention"):
            with mock.patch.object(TargetAttention, "_of_pairs", plain_first_layer):
                calls["plain"] = _call(pointwise, tiled)
        _check_equal(calls)
        wall, cpu = _rounds(calls, rounds)
        measured.append(_measurement(built, count, asked, tiled, wall, cpu))
    return measured


def _row(built: Built, prepared: Prepared, history: Optional[int]) -> Rows:
    rows = requests.sample(built, prepared, 1_000_000)
    sequences = _sequences(built)
    lengths = sum((rows[f"{s.name}_length"] for s in sequences), np.zeros(len(next(iter(rows.values()))), np.int64))
    row = take(rows, np.array([int(np.argmax(lengths))]))
    for sequence in sequences:
        row = _padded(row, sequence, history)
    return row


def _padded(row: Rows, sequence: SequenceFeature, history: Optional[int]) -> Rows:
    """The sequence's newest cells, at most `history`, and padding behind them up to its maximum."""
    length, maximum = int(row[f"{sequence.name}_length"][0]), sequence.maximum_length
    kept = min(length, maximum if history is None else history)
    changed = {f"{sequence.name}_length": np.array([kept], np.int64)}
    for column in sequence.columns():
        if column.length is not None:
            cells = row[column.name][:, length - kept : length]
            rest = np.full((1, maximum - kept), "" if cells.dtype == object else 0, cells.dtype)
            changed[column.name] = np.concatenate([cells, rest], axis=1)
    return {**row, **changed}


def _sequences(built: Built) -> List[SequenceFeature]:
    return [feature for feature in built.schema.features if isinstance(feature, SequenceFeature)]


def _call(signature: InferenceSignature, rows: Rows) -> Callable[[], Dict[str, np.ndarray]]:
    function, tensors = signature.trace(), wire.tensors(signature.inputs, rows)

    def call() -> Dict[str, np.ndarray]:
        return {name: answer.numpy() for name, answer in function(**tensors).items()}

    return call


def _check_equal(calls: Dict[str, Callable[[], Any]]) -> None:
    ranked = calls["rank"]()
    for answers in (call() for way, call in calls.items() if way != "rank"):
        for name, scores in ranked.items():
            np.testing.assert_allclose(scores.reshape(-1), answers[name], atol=1e-5)


def plain_first_layer(layer: Any, keys: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
    """`TargetAttention`'s first layer [B, L, H] as one product with [k, q, q - k, k * q], W3 being 0."""
    queries = tf.broadcast_to(query[:, tf.newaxis], tf.shape(keys))
    whole = tf.concat([keys, queries, queries - keys, keys * queries], axis=-1)
    kernel = tf.concat([layer._key, layer._query, tf.zeros_like(layer._key), layer._product], axis=0)
    return tf.tensordot(whole, kernel, 1) + layer._bias


def _rounds(calls: Dict[str, Callable[[], Any]], rounds: int) -> Tuple[Dict[str, np.ndarray], Dict[str, float]]:
    """Seconds of each round by wall clock, and of all by processor clock."""
    wall: Dict[str, List[float]] = {name: [] for name in calls}
    cpu = dict.fromkeys(calls, 0.0)
    for index in range(WARM_UP + rounds):
        for name, call in calls.items():
            wall_start, cpu_start = time.perf_counter(), time.process_time()
            call()
            if index >= WARM_UP:
                wall[name].append(time.perf_counter() - wall_start)
                cpu[name] += time.process_time() - cpu_start
    return {name: np.array(seconds) for name, seconds in wall.items()}, cpu


def _measurement(
    built: Built, count: int, asked: Rows, tiled: Rows, wall: Dict[str, np.ndarray], cpu: Dict[str, float]
) -> Measurement:
    ratios = wall["tiled"] / wall["rank"]
    low, middle, high = (float(q) for q in np.quantile(ratios, [0.25, 0.5, 0.75]))
    return Measurement(
        model=built.experiment.model,
        candidates=count,
        history=max((int(asked[f"{s.name}_length"].max()) for s in _sequences(built)), default=0),
        tiled_milliseconds=1e3 * float(np.median(wall["tiled"])),
        rank_milliseconds=1e3 * float(np.median(wall["rank"])),
        ratio=middle,
        quartiles=(low, high),
        cpu_ratio=cpu["tiled"] / max(cpu["rank"], 1e-9),
        plain_ratio=float(np.median(wall["plain"] / wall["rank"])) if "plain" in wall else None,
        bytes_ratio=_size(tiled) / _size(asked),
        rounds=len(ratios),
    )


def _size(rows: Rows) -> int:
    """Bytes of the cells; text as UTF-8."""
    text = [cell for cells in rows.values() if cells.dtype == object for cell in cells.ravel()]
    return sum(cells.nbytes for cells in rows.values() if cells.dtype != object) + sum(len(c.encode()) for c in text)


def table(measured: Sequence[Measurement]) -> List[List[str]]:
    """Rows of text, the head first."""
    head = ["model", "candidates", "history", "tiled ms", "rank ms", "ratio", "quartiles", "CPU ratio"]
    head += ["plain ratio", "bytes ratio"]
    return [head, *([*_cells(one)] for one in measured)]


def _cells(one: Measurement) -> List[str]:
    low, high = one.quartiles
    return [
        one.model,
        str(one.candidates),
        str(one.history),
        f"{one.tiled_milliseconds:.2f}",
        f"{one.rank_milliseconds:.2f}",
        f"{one.ratio:.2f}",
        f"{low:.2f}-{high:.2f}",
        f"{one.cpu_ratio:.2f}",
        "" if one.plain_ratio is None else f"{one.plain_ratio:.2f}",
        f"{one.bytes_ratio:.1f}",
    ]
