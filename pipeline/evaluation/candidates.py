"""Candidate lists for evaluation: sampled (one positive and some negatives) or full (every item not met before)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal, Optional

import numpy as np

from pipeline.items import ItemTable, Seen

Sampler = Literal["uniform", "popularity"]

_CELLS = 2**22
"""Random keys held at once, 8 bytes each."""


@dataclass(frozen=True)
class Draw:
    """How negatives are drawn."""

    negatives: int
    sampler: Sampler = "uniform"
    popularity_exponent: float = 0.75
    """With sampler popularity, an item's chance is its training count to this power."""
    seed: int = 1


@dataclass(frozen=True)
class Lists:
    """Sampled lists; an item is a position in the item table."""

    rows: np.ndarray
    """[n] int64: the row each list is for. A row for which no negative exists has no list."""
    positions: np.ndarray
    """[n, 1 + negatives] int32: the positive first."""

    @property
    def digest(self) -> str:
        """Of the content: equal digests mean that two evaluations asked the same questions."""
        content = hashlib.sha256(self.rows.astype("<i8").tobytes())
        content.update(self.positions.astype("<i4").tobytes())
        return content.hexdigest()[:16]


def sampled(users: np.ndarray, positives: np.ndarray, items: ItemTable, seen: Optional[Seen], draw: Draw) -> Lists:
    """One list a row: users [n] (raw ids) and positives [n] (positions); deterministic.

    The positive and what `seen` knows of the user are never negatives. Drawn without replacement; where a user has too
    few items left, each of them occurs as often as any other, give or take one.
    """
    generator = np.random.default_rng(draw.seed)
    width = max(1, _CELLS // len(items.ids))
    blocks = [
        _block(users[start : start + width], positives[start : start + width], items, seen, draw, generator)
        for start in range(0, len(users), width)
    ]
    positions = np.concatenate(blocks) if blocks else np.zeros((0, 1 + draw.negatives), np.int32)
    kept = np.flatnonzero((positions >= 0).all(axis=1))
    return Lists(kept, positions[kept])


def full(users: np.ndarray, positives: np.ndarray, items: ItemTable, seen: Seen) -> np.ndarray:
    """Which items are candidates, bool [n, M]: the positive, and all but those in `seen` (what came before)."""
    listed = ~_seen_mask(users, len(items.ids), seen)
    listed[np.arange(len(users)), positives] = True
    return listed


def _block(
    users: np.ndarray,
    positives: np.ndarray,
    items: ItemTable,
    seen: Optional[Seen],
    draw: Draw,
    generator: np.random.Generator,
) -> np.ndarray:
    """[b, 1 + negatives]; -1 where there is nothing to draw."""
    keys = _keys(generator, (len(users), len(items.ids)), items.counts, draw)
    if seen is not None:
        keys[_seen_mask(users, len(items.ids), seen)] = np.inf
    keys[np.arange(len(users)), positives] = np.inf
    most = min(draw.negatives, len(items.ids))
    drawn = np.argpartition(keys, most - 1, axis=1)[:, :most]
    # In the order of the keys, which is the order of a draw one by one.
    drawn = np.take_along_axis(drawn, np.argsort(np.take_along_axis(keys, drawn, axis=1), axis=1), axis=1)
    available = np.isfinite(np.take_along_axis(keys, drawn, axis=1)).sum(axis=1)
    places = np.arange(draw.negatives) % np.maximum(available, 1)[:, np.newaxis]
    negatives = np.where(available[:, np.newaxis] > 0, np.take_along_axis(drawn, places, axis=1), -1)
    return np.concatenate([positives[:, np.newaxis], negatives], axis=1).astype(np.int32)


def _keys(generator: np.random.Generator, shape: tuple[int, int], counts: np.ndarray, draw: Draw) -> np.ndarray:
    """Random keys float64 [b, M] whose smallest n are a weighted draw of n items without replacement.

    An exponential race: the time of an item of weight w is -log(1 - u) / w, so the next to arrive is drawn with chance
    w over the weights still out. The order of equal weights is that of u itself.
    """
    keys = generator.random(shape)
    if draw.sampler == "uniform":
        return keys
    weights = counts.astype(np.float64) ** draw.popularity_exponent
    weights[counts == 0] = 0.0
    with np.errstate(divide="ignore"):
        return np.where(weights > 0, -np.log1p(-keys) / weights, np.inf)


def _seen_mask(users: np.ndarray, items: int, seen: Seen) -> np.ndarray:
    return seen.contains_at(seen.users(users)[:, np.newaxis], np.arange(items))
