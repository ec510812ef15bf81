"""Real rows as requests of each signature: for golden answers, warm-up and the gates."""

from __future__ import annotations

from typing import Optional, Tuple

import numpy as np

from pipeline.builder import Built
from pipeline.inference import InferenceSignature
from pipeline.items import ItemTable
from pipeline.prepared import Part, Prepared
from pipeline.rows import Rows, read, take
from pipeline.schema import Column
from pipeline.seeds import derive


def sample(built: Built, prepared: Prepared, count: int, part: Part = "test") -> Rows:
    """`count` rows of a part, drawn with the experiment's seed; all of them, shuffled, where there are fewer."""
    rows = read(prepared, part, columns(built))
    draw = np.random.default_rng(derive(built.experiment.seed, "requests"))
    size = len(next(iter(rows.values())))
    return take(rows, draw.permutation(size)[:count])


def columns(built: Built) -> Tuple[Column, ...]:
    return built.schema.columns()


def request(
    signature: InferenceSignature, built: Built, rows: Rows, items: Optional[ItemTable], candidates: int = 7
) -> Rows:
    """The rows as inputs of one signature; what is not in the rows (candidates, k, exclusions) is drawn from a seed."""
    draw = np.random.default_rng(derive(built.experiment.seed, "request", signature.name))
    size = len(next(iter(rows.values())))
    found: Rows = {name: rows[name] for name in signature.inputs if name in rows}
    if signature.kind == "rank":
        found.update(_candidates(signature, rows, items, draw, size, candidates))
    if "k" in signature.inputs:
        found["k"] = draw.integers(1, 11, size).astype(np.int32)
        found.update(_exclusions(signature, items, draw, size))
    if "exclude_seen" in signature.inputs:
        found["exclude_seen"] = draw.integers(0, 2, size).astype(bool)
    return found


def best(signature: InferenceSignature, rows: Rows, k: int) -> Rows:
    """The rows as requests of a retrieval signature for the best k of all items, none of them excluded."""
    size = len(next(iter(rows.values())))
    asked = {
        "k": np.full(size, k, np.int32),
        "exclude": np.zeros((size, 0), object if signature.inputs["exclude"].dtype == "string" else np.int64),
        "exclude_length": np.zeros(size, np.int64),
        "exclude_seen": np.zeros(size, bool),
    }
    return {name: asked[name] if name in asked else rows[name] for name in signature.inputs}


def _candidates(
    signature: InferenceSignature, rows: Rows, items: Optional[ItemTable], draw: np.random.Generator, size: int, n: int
) -> Rows:
    """Item inputs [B, N, ...]: items of the catalogue, or the item sides of other rows where there is no catalogue."""
    table = items.rows if items is not None else rows
    index = draw.integers(0, len(next(iter(table.values()))), (size, n))
    chosen = take(table, index)
    return {name: chosen[name] for name, info in signature.inputs.items() if _per_candidate(name, signature, rows)}


def _per_candidate(name: str, signature: InferenceSignature, rows: Rows) -> bool:
    return len(signature.inputs[name].shape) == rows[name].ndim + 1


def _exclusions(
    signature: InferenceSignature, items: Optional[ItemTable], draw: np.random.Generator, size: int
) -> Rows:
    if items is None:
        raise ValueError("a retrieval signature should come with a catalogue. Received: None")
    return {
        "exclude": items.ids[draw.integers(0, len(items.ids), (size, 5))],
        "exclude_length": draw.integers(0, 6, size).astype(np.int64),
    }
