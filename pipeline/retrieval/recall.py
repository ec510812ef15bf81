"""How many of the truly best items an index finds."""

from __future__ import annotations

from typing import Dict, List, Mapping, Tuple

import numpy as np

COUNTS = (10, 100)
USERS = 256
"""Drawn for a figure of recall: about 0.01 of spread at 0.95, for seconds at a million items."""

_CHUNK = 32
"""Users whose scores of all items are in memory at once."""
_ROUNDING = 1e-5


def counts(items: int) -> Tuple[int, ...]:
    """The k that recall is stated at: 10 and 100, as far as there are so many items; else all of them."""
    return tuple(k for k in COUNTS if k <= items) or (items,)


def best(users: np.ndarray, vectors: np.ndarray) -> Dict[int, np.ndarray]:
    """{k: positions [U, k] of the best of vectors [M, d] for users [U, d], in no order} for each of `counts`.

    By NumPy: a second way to the same answer as the graph's.
    """
    found: Mapping[int, List[np.ndarray]] = {k: [] for k in counts(len(vectors))}
    for start in range(0, len(users), _CHUNK):
        scores = users[start : start + _CHUNK] @ vectors.T
        for k, parts in found.items():
            parts.append(np.argpartition(scores, len(vectors) - k, axis=1)[:, len(vectors) - k :])
    return {k: np.concatenate(parts) for k, parts in found.items()}


def recall(
    users: np.ndarray, vectors: np.ndarray, answered: np.ndarray, truth: Mapping[int, np.ndarray]
) -> Dict[str, float]:
    """{"recall@k": share of the truth that is answered} of positions [U, K], best first, -1 for an empty place.

    What ties with the k-th best is as good as it. An answer that is given twice counts once.
    """
    found = {}
    for k, positions in truth.items():
        floor = _scores(users, vectors, positions).min(axis=1, keepdims=True)
        given = _once(answered[:, :k])
        hit = (given >= 0) & (_scores(users, vectors, given) >= floor - _ROUNDING * np.maximum(1.0, np.abs(floor)))
        found[f"recall@{k}"] = float(np.mean(hit.sum(axis=1) / k))
    return found


def _scores(users: np.ndarray, vectors: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Dot products [U, k] with the vectors at positions [U, k]."""
    return np.einsum("ud,ukd->uk", users, vectors[positions])


def _once(positions: np.ndarray) -> np.ndarray:
    """Positions [U, k] with -1 in place of one that stands in its row already."""
    kept = np.full_like(positions, -1)
    for row, whole in zip(kept, positions):
        _, first = np.unique(whole, return_index=True)
        row[first] = whole[first]
    return kept
