"""Candidate lists: what may be in them, how often, and that the same seed asks the same questions."""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence

import numpy as np
import pyarrow as pa
import pytest

from pipeline.evaluation import candidates
from pipeline.evaluation.candidates import Draw
from pipeline.items import ItemTable, Seen


def _items(counts: Sequence[int]) -> ItemTable:
    ids = np.arange(len(counts)) + 100
    return ItemTable(ids, {"item_id": ids}, np.array(counts, np.int64), np.full(len(counts), "", object))


def _seen(pairs: Dict[int, List[int]], items: int) -> Seen:
    """Positions by raw user id."""
    users = sorted(pairs)
    codes = sorted(place * items + item for place, user in enumerate(users) for item in pairs[user])
    return Seen(pa.array(users, pa.int64()), np.array(codes, np.int64), items)


def _lists(
    positives: Sequence[int], items: ItemTable, seen: Optional[Seen] = None, draw: Optional[Draw] = None
) -> candidates.Lists:
    users = np.arange(len(positives))
    return candidates.sampled(users, np.array(positives), items, seen, draw or Draw(negatives=5))


def test_a_list_starts_with_its_positive_and_repeats_nothing():
    lists = _lists([3, 7, 3], _items([1] * 20))
    assert lists.positions[:, 0].tolist() == [3, 7, 3]
    for row in lists.positions:
        assert len(set(row.tolist())) == 6
        assert row.min() >= 0 and row.max() < 20


def test_what_the_user_has_met_is_never_a_negative():
    # Of 12 items user 0 may get 6..11 and user 1 the items 0..5, apart from the positive: exactly 5 for each.
    seen = _seen({0: [0, 1, 2, 3, 4, 5, 6], 1: [6, 7, 8, 9, 10, 11, 0]}, 12)
    lists = _lists([6, 0], _items([1] * 12), seen)
    assert sorted(lists.positions[0, 1:].tolist()) == [7, 8, 9, 10, 11]
    assert sorted(lists.positions[1, 1:].tolist()) == [1, 2, 3, 4, 5]


def test_a_user_whom_nobody_knows_has_met_nothing():
    lists = candidates.sampled(np.array([99]), np.array([0]), _items([1] * 6), _seen({0: [1, 2]}, 6), Draw(5))
    assert sorted(lists.positions[0].tolist()) == [0, 1, 2, 3, 4, 5]


def test_the_seed_decides_and_the_size_of_the_blocks_does_not(monkeypatch: pytest.MonkeyPatch):
    items, positives = _items(range(1, 31)), list(range(25))
    for sampler in ("uniform", "popularity"):
        draw = Draw(5, sampler=sampler, seed=3)
        monkeypatch.setattr(candidates, "_CELLS", 2**22)
        once = _lists(positives, items, draw=draw)
        monkeypatch.setattr(candidates, "_CELLS", 70)  # two rows of 30 items at a time
        again = _lists(positives, items, draw=draw)
        assert np.array_equal(once.positions, again.positions) and once.digest == again.digest
        other = _lists(positives, items, draw=Draw(5, sampler=sampler, seed=4))
        assert not np.array_equal(once.positions, other.positions) and once.digest != other.digest


def test_uniform_draws_every_item_equally_often():
    # 4,000 lists of 3 from 10 items, the positive aside: each other item is expected 4,000 * 3 / 9 = 1,333 times.
    lists = _lists([0] * 4000, _items([1000] + [1] * 9), draw=Draw(3))
    often = np.bincount(lists.positions[:, 1:].ravel(), minlength=10)
    assert often[0] == 0
    assert np.all(np.abs(often[1:] - 1333) < 5 * np.sqrt(1333))


def test_popularity_draws_in_proportion_to_the_weight():
    # Counts 1, 4 and 16 to the power 1/2 are weights 1, 2, 4: shares 1/7, 2/7, 4/7 of 7,000 single draws.
    items = _items([9, 1, 4, 16, 0])
    lists = _lists([0] * 7000, items, draw=Draw(1, sampler="popularity", popularity_exponent=0.5))
    often = np.bincount(lists.positions[:, 1], minlength=5)
    assert often[0] == 0 and often[4] == 0  # the positive, and an item nobody met
    assert np.all(np.abs(often[1:4] - np.array([1000, 2000, 4000])) < 5 * np.sqrt([1000, 2000, 4000]))


def test_popularity_to_the_power_zero_is_uniform_over_what_was_met():
    lists = _lists([0] * 50, _items([9, 1, 400, 0]), draw=Draw(2, sampler="popularity", popularity_exponent=0.0))
    assert {tuple(sorted(row)) for row in lists.positions[:, 1:].tolist()} == {(1, 2)}


def test_a_weighted_draw_of_two_is_without_replacement():
    # Weights 1, 1, 2 of a, b, c. {a, c}: c then a, 1/2 * 1/2, or a then c, 1/4 * 2/3: 5/12, as {b, c}. {a, b}: 1/6.
    lists = _lists([0] * 6000, _items([5, 1, 1, 2]), draw=Draw(2, sampler="popularity", popularity_exponent=1.0))
    pairs = np.sort(lists.positions[:, 1:], axis=1)
    found = [int((pairs == pair).all(axis=1).sum()) for pair in ([1, 3], [2, 3], [1, 2])]
    assert np.all(np.abs(np.array(found) - [2500, 2500, 1000]) < 250)


def test_with_too_few_items_left_each_comes_as_often_as_any_other():
    # 4 items, one the positive, one seen: 2 remain for 5 places.
    lists = _lists([0], _items([1] * 4), _seen({0: [0, 1]}, 4), Draw(5))
    assert sorted(np.bincount(lists.positions[0, 1:], minlength=4).tolist()) == [0, 0, 2, 3]


def test_a_row_without_any_negative_has_no_list():
    lists = _lists([0, 1], _items([1] * 3), _seen({0: [0, 1, 2]}, 3), Draw(2))
    assert lists.rows.tolist() == [1]
    assert sorted(lists.positions[0].tolist()) == [0, 1, 2]


def test_the_full_list_is_all_that_was_not_met_before_and_the_positive():
    # User 0 meets item 1 again: it stays a candidate though it is in `seen`; items 2 and 3 leave.
    listed = candidates.full(np.array([0, 1]), np.array([1, 4]), _items([1] * 5), _seen({0: [1, 2, 3]}, 5))
    assert listed.tolist() == [[True, True, False, False, True], [True] * 5]
