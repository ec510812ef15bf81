"""Drawn negatives: never seen, in the asked proportions, never more than asked."""

from __future__ import annotations

from typing import List, Tuple

import numpy as np
import pyarrow as pa
import pytest

from pipeline.items import ItemTable, Seen
from pipeline.negatives import sampler
from signatures.errors import UsageError


def table(counts: List[int]) -> ItemTable:
    ids = np.arange(len(counts)) * 10
    return ItemTable(ids, {"item_id": ids}, np.array(counts), np.full(len(counts), "", object))


def seen_pairs(pairs: List[Tuple[int, int]], users: int, items: int) -> Seen:
    """Users are called 0, 1, ... and are their own index."""
    codes = np.unique(np.array([user * items + item for user, item in pairs], np.int64))
    return Seen(pa.array(np.arange(users)), codes, items)


@pytest.mark.parametrize("kind", ["uniform", "popularity"])
def test_no_seen_item_in_many_draws(kind: str) -> None:
    generator = np.random.default_rng(7)
    users, items = 50, 200
    met = generator.random((users, items)) < 0.5
    met[:, 0] = False
    pairs = [(int(u), int(i)) for u, i in np.argwhere(met)]
    drawn_by = sampler(kind, 0.75, table([1 + i % 13 for i in range(items)]), seen_pairs(pairs, users, items))  # type: ignore[arg-type]
    rows = generator.integers(0, users, 25_000)
    own = generator.integers(0, items, 25_000)
    drawn = drawn_by.draw(rows, own, 4, generator)
    assert drawn.shape == (25_000, 4)
    assert drawn.min() >= 0 and drawn.max() < items
    assert not met[rows[:, np.newaxis], drawn].any()
    assert not (drawn == own[:, np.newaxis]).any()


def test_uniform_draws_every_item_equally_often() -> None:
    drawn_by = sampler("uniform", 0.75, table([0, 5, 100, 1]), seen_pairs([], 1, 4))
    drawn = drawn_by.draw(np.zeros(50_000, np.int64), np.full(50_000, -1), 2, np.random.default_rng(1))
    # 100,000 draws at probability 1/4: the standard deviation of a frequency is 0.0014.
    np.testing.assert_allclose(np.bincount(drawn.ravel(), minlength=4) / 1e5, [0.25] * 4, atol=0.006)


def test_popularity_draws_in_proportion_to_the_power_of_the_count() -> None:
    drawn_by = sampler("popularity", 0.5, table([1, 16, 0, 81]), seen_pairs([], 1, 4))
    drawn = drawn_by.draw(np.zeros(50_000, np.int64), np.full(50_000, -1), 2, np.random.default_rng(1))
    # Square roots 1, 4, -, 9 of a sum of 14; an item that nobody met in training is never drawn.
    np.testing.assert_allclose(np.bincount(drawn.ravel(), minlength=4) / 1e5, [1 / 14, 4 / 14, 0, 9 / 14], atol=0.006)


def test_what_is_seen_leaves_the_proportions_of_the_rest() -> None:
    drawn_by = sampler("popularity", 0.5, table([1, 16, 0, 81]), seen_pairs([(0, 3)], 1, 4))
    drawn = drawn_by.draw(np.zeros(50_000, np.int64), np.full(50_000, -1), 2, np.random.default_rng(1))
    np.testing.assert_allclose(np.bincount(drawn.ravel(), minlength=4) / 1e5, [0.2, 0.8, 0, 0], atol=0.006)


def test_alpha_zero_is_uniform_over_the_items_of_the_training_part() -> None:
    drawn_by = sampler("popularity", 0.0, table([3, 0, 99]), seen_pairs([], 1, 3))
    drawn = drawn_by.draw(np.zeros(50_000, np.int64), np.full(50_000, -1), 2, np.random.default_rng(1))
    np.testing.assert_allclose(np.bincount(drawn.ravel(), minlength=3) / 1e5, [0.5, 0, 0.5], atol=0.006)


def test_a_user_who_has_seen_everything_gets_none_and_stops_nobody() -> None:
    drawn_by = sampler("uniform", 0.75, table([1, 1]), seen_pairs([(0, 0), (0, 1), (1, 0)], 3, 2))
    drawn = drawn_by.draw(np.array([0, 1, 2, -1]), np.array([0, 0, 1, 1]), 3, np.random.default_rng(1))
    assert drawn.tolist() == [[-1] * 3, [1] * 3, [0] * 3, [0] * 3]


def test_the_same_generator_draws_the_same() -> None:
    drawn_by = sampler("popularity", 0.75, table(list(range(1, 40))), seen_pairs([(0, 3)], 1, 39))

    def draw(seed: int) -> List[List[int]]:
        return drawn_by.draw(np.zeros(20, np.int64), np.zeros(20, np.int64), 4, np.random.default_rng(seed)).tolist()

    assert draw(1) == draw(1) != draw(2)


def test_popularity_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="negative_sampler is popularity, but no item has an event"):
        sampler("popularity", 0.75, table([0, 0]), seen_pairs([], 1, 2))
