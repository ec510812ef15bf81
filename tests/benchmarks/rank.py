"""How much `rank` and `rank_items` save: one user and N candidates, against the same pairs as `serving_default`'s rows.

All run in this process from raw values, encoding included, as a server runs them (`tests.benchmarks.sessions`); nothing
crosses a wire. Rounds alternate between the ways, so that all meet the same load of the machine. The rows are asked for
twice: of our own `serving_default`, and of the model as it is commonly built (`tests.benchmarks.common_forms`).
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from pipeline import inference, requests, saved_models
from pipeline.builder import Built
from pipeline.gates import tile
from pipeline.inference import InferenceSignature
from pipeline.items import load as load_items
from pipeline.prepared import Prepared
from pipeline.rows import Rows, take
from pipeline.schema import Sequence as SequenceFeature
from serving.client import grpc_wire
from serving.client.transport import Target
from tests.benchmarks import sessions
from tests.benchmarks.common_forms import commonly_built

CANDIDATES = (100, 300, 1000)
WARM_UP = 3
TILED = ("serving_default", "common")
"""The bases."""


@dataclass(frozen=True)
class Measurement:
    """One signature at one number of candidates. Times are medians over the rounds; above 1, it is better."""

    model: str
    signature: str
    candidates: int
    history: int
    """Cells of the longest sequence; 0 where the model reads none."""
    milliseconds: float
    tiled_milliseconds: float
    """Of our own `serving_default` on the tiled rows."""
    common_milliseconds: float
    """Of the common form on the same rows."""
    tiled_ratio: float
    """Median of the ratios of the rounds."""
    tiled_quartiles: Tuple[float, float]
    common_ratio: float
    common_quartiles: Tuple[float, float]
    common_cpu_ratio: float
    """Of the processor time of all rounds: what both cost where cores are busy with other requests."""
    request_bytes: int
    """Of the PredictRequest as it is sent."""
    bytes_ratio: float
    rounds: int


def measure(
    built: Built,
    prepared: Prepared,
    candidates: Sequence[int] = CANDIDATES,
    history: Optional[int] = None,
    rounds: int = 15,
) -> List[Measurement]:
    """The row with the longest sequences, cut to `history` cells where that is given, at each number of candidates.

    Sequences are sent padded to their maximum, as clients of fixed shape do. AssertionError if two ways disagree.
    """
    ways = signatures(built, prepared)
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        export = Path(folder) / built.experiment.model / "1"
        saved_models.save(tuple(ways.values()), built.encoder, export)
        for count in candidates:
            asked = questions(built, prepared, ways, count, history)
            calls = sessions.calls(export, asked)
            _check_equal(calls)
            wall, cpu = _rounds(calls, rounds)
            measured += [_measurement(built, name, count, asked, wall, cpu) for name in asked if name not in TILED]
    return measured


def signatures(built: Built, prepared: Prepared) -> Dict[str, InferenceSignature]:
    """By name, all that answer the same question: the tiled ones first."""
    made = {each.name: each for each in inference.signatures(built, load_items(prepared))}
    common = commonly_built(made["serving_default"])
    ways = {"serving_default": made["serving_default"], "common": common, "rank": made["rank"]}
    return {**ways, "rank_items": made["rank_items"]} if "rank_items" in made else ways


def questions(
    built: Built, prepared: Prepared, ways: Dict[str, InferenceSignature], candidates: int, history: Optional[int]
) -> Dict[str, Rows]:
    """The same user and candidates as inputs of each signature."""
    row = _row(built, prepared, history)
    ranked = requests.request(ways["rank"], built, row, load_items(prepared), candidates=candidates)
    tiled = tile(ranked, ways["rank"].described(), ways["serving_default"].described())
    return {
        name: {column: (tiled if name in TILED else ranked)[column] for column in way.inputs}
        for name, way in ways.items()
    }


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


def _check_equal(calls: Dict[str, Callable[[], Any]]) -> None:
    ranked = calls["rank"]()
    for answers in (call() for way, call in calls.items() if way != "rank"):
        for name, scores in ranked.items():
            np.testing.assert_allclose(scores.reshape(-1), answers[name].reshape(-1), atol=1e-5)


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
    built: Built, name: str, count: int, asked: Dict[str, Rows], wall: Dict[str, np.ndarray], cpu: Dict[str, float]
) -> Measurement:
    milliseconds = {way: 1e3 * float(np.median(seconds)) for way, seconds in wall.items()}
    tiled, common = (np.quantile(wall[base] / wall[name], [0.25, 0.5, 0.75]).tolist() for base in TILED)
    rows = asked[name]
    return Measurement(
        model=built.experiment.model, signature=name, candidates=count,
        history=max((int(rows[f"{s.name}_length"].max()) for s in _sequences(built)), default=0),
        milliseconds=milliseconds[name], tiled_milliseconds=milliseconds["serving_default"],
        common_milliseconds=milliseconds["common"],
        tiled_ratio=tiled[1], tiled_quartiles=(tiled[0], tiled[2]),
        common_ratio=common[1], common_quartiles=(common[0], common[2]),
        common_cpu_ratio=cpu["common"] / max(cpu[name], 1e-9),
        request_bytes=size(built, name, rows),
        bytes_ratio=size(built, "serving_default", asked["serving_default"]) / size(built, name, rows),
        rounds=len(wall[name]),
    )


def size(built: Built, signature: str, rows: Rows) -> int:
    """Bytes of the serialized PredictRequest."""
    text = np.frompyfunc(str.encode, 1, 1)
    arrays = {name: text(cells) if cells.dtype == object else cells for name, cells in rows.items()}
    return len(grpc_wire.predict(Target(built.experiment.model, signature), arrays, ()).body)


def table(measured: Sequence[Measurement]) -> List[List[str]]:
    """Rows of text, the head first."""
    head = ["model", "signature", "N", "history", "ms", "tiled ms", "common ms", "tiled ratio", "common ratio"]
    return [[*head, "CPU", "bytes", "fewer"], *(_cells(one) for one in measured)]


def _cells(one: Measurement) -> List[str]:
    return [
        one.model, one.signature, str(one.candidates), str(one.history),
        f"{one.milliseconds:.2f}", f"{one.tiled_milliseconds:.2f}", f"{one.common_milliseconds:.2f}",
        f"{one.tiled_ratio:.2f} [{one.tiled_quartiles[0]:.2f}-{one.tiled_quartiles[1]:.2f}]",
        f"{one.common_ratio:.2f} [{one.common_quartiles[0]:.2f}-{one.common_quartiles[1]:.2f}]",
        f"{one.common_cpu_ratio:.2f}", f"{one.request_bytes:,}", f"{one.bytes_ratio:.1f}",
    ]
