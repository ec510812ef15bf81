"""Negatives for training: items that a user has not met, drawn anew each epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Optional

import numpy as np

from pipeline.items import ItemTable, Seen
from signatures.errors import UsageError

SamplerKind = Literal["uniform", "popularity"]

ROUNDS = 64
"""How often a draw that the user has seen is drawn again; then there is no negative in that place.

Of a user who has seen 90 % of what is drawn, 1 place in 1,000 stays empty; of one who has seen everything, all.
"""


@dataclass(frozen=True)
class NegativeSampler:
    """Draws from all items, uniformly or as the training counts say, what a user has not seen."""

    seen: Seen
    items: int
    cumulative: Optional[np.ndarray] = None
    """[items] running sum of the items' weights; None draws uniformly."""

    def draw(self, users: np.ndarray, positives: np.ndarray, k: int, generator: np.random.Generator) -> np.ndarray:
        """k negatives for each of n rows, with replacement: item positions [n, k] int64, -1 where none was found.

        users: [n] int64 of `Seen.users`; positives: [n] int64, the row's own item, which is never drawn either.
        """
        owners = np.repeat(np.arange(len(users)), k)
        found = np.full(len(owners), -1, np.int64)
        open_places = np.arange(len(owners))
        for _ in range(ROUNDS):
            row = owners[open_places]
            drawn = self._items(len(row), generator)
            refused = self.seen.contains_at(users[row], drawn) | (drawn == positives[row])
            found[open_places[~refused]] = drawn[~refused]
            open_places = open_places[refused]
            if not len(open_places):
                break
        return found.reshape(-1, k)

    def _items(self, count: int, generator: np.random.Generator) -> np.ndarray:
        if self.cumulative is None:
            return generator.integers(0, self.items, count)
        total = self.cumulative[-1]
        return np.searchsorted(self.cumulative, generator.random(count) * total, side="right")


def sampler(kind: SamplerKind, alpha: float, items: ItemTable, seen: Seen) -> NegativeSampler:
    """Draws each item equally often, or in proportion to train_count ** alpha (an item without events: never).

    Raises UsageError when nothing can be drawn.
    """
    if kind == "uniform":
        return NegativeSampler(seen, len(items.ids))
    weights = np.where(items.counts > 0, np.maximum(items.counts, 1).astype(np.float64) ** alpha, 0.0)
    if not weights.any():
        raise UsageError("negative_sampler is popularity, but no item has an event in the training part; use uniform")
    return NegativeSampler(seen, len(items.ids), np.cumsum(weights))
