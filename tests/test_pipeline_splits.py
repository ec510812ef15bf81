"""Which rows are held out: by hand, and against sorting everything."""

from __future__ import annotations

from typing import List

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.preparation import splits


def test_the_last_event_is_for_test_and_the_one_before_for_validation() -> None:
    # Five rows of one user, three of another; two rows of a third and one of a fourth, too few to hold any out.
    users = np.array([7, 7, 7, 7, 7, 2, 2, 2, 5, 5, 9])
    assert splits.leave_one_out(users).tolist() == [0, 0, 0, 1, 2, 0, 1, 2, 0, 0, 0]


def test_no_rows_are_no_problem() -> None:
    assert splits.leave_one_out(np.zeros(0, np.int64)).tolist() == []


def test_rows_from_the_thresholds_on_are_held_out() -> None:
    assert splits.by_time(np.array([5, 9, 10, 19, 20, 21]), (10, 20)).tolist() == [0, 0, 1, 1, 2, 2]


def test_the_last_rows_of_the_table_are_held_out() -> None:
    assert splits.by_order(np.arange(10), 10, (0.2, 0.1)).tolist() == [0] * 7 + [1] * 2 + [2]


def test_a_random_split_has_its_shares_whatever_the_batches() -> None:
    parts = splits.at_random(np.arange(20_000), 3, (0.1, 0.2))
    shares = np.bincount(parts) / 20_000
    # Three standard deviations of a share of 0.2 of 20,000 are 0.0085.
    assert np.allclose(shares, [0.7, 0.1, 0.2], atol=0.009)
    assert np.array_equal(parts[5_000:], splits.at_random(np.arange(5_000, 20_000), 3, (0.1, 0.2)))
    assert not np.array_equal(parts, splits.at_random(np.arange(20_000), 4, (0.1, 0.2)))


def test_what_was_set_aside_is_for_test_and_the_rest_is_drawn() -> None:
    parts = splits.published(np.arange(20_000), 20_000, 5_000, 3, 0.2)
    assert (parts[15_000:] == 2).all()
    # Three standard deviations of a share of 0.2 of 15,000 are 0.0098.
    assert np.allclose(np.bincount(parts[:15_000]) / 15_000, [0.8, 0.2], atol=0.01)
    later = splits.published(np.arange(9_000, 20_000), 20_000, 5_000, 3, 0.2)
    assert np.array_equal(parts[9_000:], later)


def batches(times: List[int]) -> List[np.ndarray]:
    return [np.array(times[i : i + 7], np.int64) for i in range(0, len(times), 7)]


def test_thresholds_by_hand() -> None:
    # Of ten distinct times one tenth is 1 row: test from the last on, validation from the one before.
    times = [30, 10, 20, 90, 80, 70, 60, 50, 40, 100]
    assert splits.thresholds(lambda: batches(times), (0.1, 0.1)) == (90, 100)


def test_rows_of_the_same_second_stay_together() -> None:
    times = [1, 2, 3, 4, 5, 6, 9, 9, 9, 9]
    assert splits.thresholds(lambda: batches(times), (0.2, 0.1)) == (9, 9)


@given(
    st.lists(st.integers(-(2**40), 2**40) | st.integers(0, 50), min_size=1, max_size=60),
    st.floats(0.05, 0.45),
    st.floats(0.05, 0.45),
)
def test_thresholds_are_what_sorting_finds(times: List[int], validation: float, test: float) -> None:
    newest_first = sorted(times, reverse=True)
    held_out = round(len(times) * test)
    wanted = (held_out + round(len(times) * validation), held_out)
    expected = tuple(newest_first[rows - 1] if rows else max(times) + 1 for rows in wanted)
    assert splits.thresholds(lambda: batches(times), (validation, test)) == expected
