"""The items most like each item, by the cosine of their vectors: for "similar items" pages, once for all of them.

Offline, so nothing of it is served: ScaNN's own library searches here, or every pair is scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Iterable, Literal, Tuple

import numpy as np

from pipeline.experiment import Retrieval
from pipeline.retrieval import recall
from pipeline.retrieval.choice import lists_of
from signatures.errors import UsageError

Way = Literal["exact", "scann"]
Search = Callable[[np.ndarray], Tuple[np.ndarray, np.ndarray]]

EXACT_ITEMS = 50_000
"""Every pair of so many items is scored in a minute or two; beyond, ScaNN is chosen."""

_CHUNK = 512
_CELLS = 1 << 26
"""Scores that are in memory at once, where all are computed."""
_CHECKED = 512


@dataclass(frozen=True)
class Neighbours:
    """By item position, its `count` nearest others, nearest first."""

    positions: np.ndarray
    """Int64 [M, count]; -1 where fewer were found."""
    cosines: np.ndarray
    """Float32 [M, count]; NaN where none."""
    recall: float
    """Share of the truly nearest that was found, on a sample of items; 1 for an exact search."""


def neighbours(
    vectors: np.ndarray, count: int, way: Way, progress: Callable[[Iterable[int]], Iterable[int]] = iter
) -> Neighbours:
    """The nearest of vectors [M, d] for each of them, itself left out. `progress` wraps the starts of the chunks.

    Raises UsageError where ScaNN is wanted and not there, or there are not `count` others.
    """
    if not 1 <= count < len(vectors):
        raise UsageError(f"count is {count}, but an item has {len(vectors) - 1} others; choose 1 to {len(vectors) - 1}")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    exact = _exact(units, count + 1)
    search = exact if way == "exact" else _scann(units, count + 1)
    positions = np.full((len(units), count), -1, np.int64)
    cosines = np.full((len(units), count), np.nan, np.float32)
    chunk = max(min(_CHUNK, _CELLS // len(units)), 1)
    for start in progress(range(0, len(units), chunk)):
        stop = min(start + chunk, len(units))
        found = _without_self(*search(units[start:stop]), start)
        positions[start:stop], cosines[start:stop] = (each[:, :count] for each in found)
    return Neighbours(positions, cosines, 1.0 if way == "exact" else _recall(units, positions, exact))


def _exact(units: np.ndarray, width: int) -> Search:
    def search(asked: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        scores = asked @ units.T
        best = np.argpartition(scores, len(units) - width, axis=1)[:, len(units) - width :]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        return best, np.take_along_axis(scores, best, axis=1)

    return search


def _scann(units: np.ndarray, width: int) -> Search:
    library = scann_library("use --index exact")
    leaves = lists_of(Retrieval(), len(units))
    builder = library.builder(units, width, "dot_product")
    builder = builder.tree(leaves, max(leaves // 10, min(leaves, 64)), training_sample_size=min(len(units), 100_000))
    searcher = builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(max(10 * width, 200)).build()

    def search(asked: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        places, scores = searcher.search_batched_parallel(asked)
        places = places.astype(np.int64)
        return np.where(np.isnan(scores), -1, places), scores

    return search


def scann_library(cure: str) -> Any:
    """ScaNN without TensorFlow. Raises UsageError, which ends in `cure`, where it is not installed."""
    try:
        from scann import scann_ops_pybind
    except ImportError as error:
        raise UsageError(
            f"ScaNN cannot be imported here ({error}); it has wheels for Linux on x86-64: work there, or {cure}"
        ) from error
    return scann_ops_pybind


def _without_self(places: np.ndarray, scores: np.ndarray, start: int) -> Tuple[np.ndarray, np.ndarray]:
    """Rows [n, W] of the items from `start`, without the item itself, or without the last where it was not found."""
    own = places == (start + np.arange(len(places)))[:, np.newaxis]
    own[:, -1] |= ~own.any(axis=1)
    kept = ~own
    return places[kept].reshape(len(places), -1), scores[kept].reshape(len(places), -1)


def _recall(units: np.ndarray, positions: np.ndarray, exact: Search) -> float:
    draw = np.random.default_rng(0)
    asked = np.sort(draw.choice(len(units), min(len(units), _CHECKED), replace=False))
    truth = []
    for item in asked:
        places, _ = exact(units[item : item + 1])
        truth.append(_without_self(places, places, int(item))[0][0])
    best = {positions.shape[1]: np.array(truth)}
    return next(iter(recall.recall(units[asked], units, positions[asked], best).values()))
