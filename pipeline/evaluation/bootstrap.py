"""How far a figure could be off by the choice of users: the users are drawn again, with replacement, many times.

All models are drawn with the same users: the differences of two models' draws, one by one, are the paired bootstrap
(Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 6 and 13: percentile intervals).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Iterable, Iterator, Optional, Tuple

import numpy as np

LEVEL = 0.95
"""Share of draws that an interval holds."""
_CELLS = 2**21
"""Weights held at once."""

Draws = Dict[str, np.ndarray]
"""Each figure as it came out in every resample, float64 [resamples]; NaN where it was not defined."""


@dataclass(frozen=True)
class Resamples:
    """`count` draws of `units` users (or rows, where there is no user), the same each time they are gone through."""

    units: int
    count: int
    seed: int

    def __iter__(self) -> Iterator[np.ndarray]:
        """How often each unit was drawn, float64 [units]; the sum is `units`."""
        generator = np.random.default_rng(self.seed)
        for _ in range(self.count):
            drawn = generator.integers(0, self.units, self.units)
            yield np.bincount(drawn, minlength=self.units).astype(np.float64)

    def blocks(self) -> Iterator[np.ndarray]:
        """The same, [b, units] at a time."""
        size = max(1, _CELLS // max(1, self.units))
        block = []
        for weights in self:
            block.append(weights)
            if len(block) == size:
                yield np.stack(block)
                block = []
        if block:
            yield np.stack(block)


def means(values: np.ndarray, units: np.ndarray, resamples: Resamples) -> np.ndarray:
    """Mean of values [n] or [n, K] of n rows, whose units are int64 [n], in each resample: [resamples] or [.., K]."""
    rows = values if values.ndim == 2 else values[:, np.newaxis]
    sums = np.stack([np.bincount(units, column, resamples.units) for column in rows.T], axis=1)
    counts = np.bincount(units, minlength=resamples.units).astype(np.float64)
    found = ratios(sums, counts, resamples)
    return found if values.ndim == 2 else found[:, 0]


def ratios(sums: np.ndarray, weights: np.ndarray, resamples: Resamples) -> np.ndarray:
    """Sum of sums [units, K] over that of weights [units], in each resample, [resamples, K]."""
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = [(block @ sums) / (block @ weights)[:, np.newaxis] for block in resamples.blocks()]
    return np.concatenate(parts) if parts else np.zeros((0, sums.shape[1]))


def pooled_auc(labels: np.ndarray, scores: np.ndarray, units: np.ndarray, resamples: Resamples) -> np.ndarray:
    """AUC over all pairs of the rows drawn, ties half, [resamples]; labels, scores and units are [n], NaN is no score.

    A row drawn twice counts twice. Exact: the rows are sorted once; then a resample sums the weights of the negatives
    between one positive's place and the next.
    """
    scores, positive = np.where(np.isnan(scores), -np.inf, scores), labels > 0
    order = np.argsort(scores[~positive], kind="stable")
    negatives, negative_units = scores[~positive][order], units[~positive][order]
    levels, level = np.unique(scores[positive], return_inverse=True)
    below, up_to = (np.searchsorted(negatives, levels, side) for side in ("left", "right"))
    edges = np.unique(np.concatenate([[0], below, up_to, [len(negatives)]]))
    first, last = np.searchsorted(edges, below), np.searchsorted(edges, up_to)
    found = np.full(resamples.count, np.nan)
    if not len(levels) or not len(negatives):
        return found
    for number, weights in enumerate(resamples):
        between = np.add.reduceat(weights[negative_units], edges[:-1])
        before = np.append(0.0, np.cumsum(between))
        positives = np.bincount(level, weights[units[positive]], len(levels))
        pairs = positives.sum() * before[-1]
        if pairs:
            found[number] = (positives * (before[first] + before[last])).sum() / (2 * pairs)
    return found


def interval(draws: np.ndarray) -> Optional[Tuple[float, float]]:
    """The ends between which LEVEL of the draws lie; None where most are not defined."""
    known = draws[~np.isnan(draws)]
    if 2 * len(known) <= len(draws) or len(known) < 2:
        return None
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def intervals(draws: Draws, names: Iterable[str]) -> Dict[str, Tuple[float, float]]:
    """Of these figures, those that have draws and are defined in most of them."""
    found = {name: interval(draws[name]) for name in names if name in draws}
    return {name: ends for name, ends in found.items() if ends is not None}
