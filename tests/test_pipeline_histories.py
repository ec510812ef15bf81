"""Histories and what came after: by hand on ten events, and against the slow and obvious way on any."""

from __future__ import annotations

from typing import List, Tuple

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.preparation import histories
from pipeline.preparation.histories import Events

Row = Tuple[int, int, int, bool]

# user, item, time; sorted by user and time, the two of second 105 in the table's order.
TEN: List[Row] = [
    (0, 10, 100, True),
    (0, 11, 105, True),
    (0, 12, 105, True),
    (0, 13, 120, True),
    (0, 14, 130, True),
    (1, 21, 90, True),
    (1, 20, 100, True),
    (1, 22, 110, True),
    (2, 10, 50, True),
    (2, 11, 60, True),
]


def events(rows: List[Row]) -> Events:
    users, items, times = np.array([row[:3] for row in rows], np.int64).reshape(-1, 3).T
    return Events(users, items, times, np.array([row[3] for row in rows], bool))


def items(rows: List[Row], cells: histories.Cells) -> List[List[int]]:
    return list(cells.take(pa.array([row[1] for row in rows], pa.int64())).to_pylist())


def test_a_history_is_the_newest_earlier_events_oldest_first() -> None:
    cells = histories.before(events(TEN), np.arange(10), 2)
    expected = [[], [10], [10, 11], [11, 12], [12, 13], [], [21], [21, 20], [], [10]]
    assert items(TEN, cells) == expected


def test_histories_of_some_rows_are_those_rows_of_all() -> None:
    cells = histories.before(events(TEN), np.array([7, 2]), 2)
    assert items(TEN, cells) == [[21, 20], [10, 11]]


def test_after_the_last_event_all_events_are_history() -> None:
    assert items(TEN, histories.after_last(events(TEN), 3)) == [[12, 13, 14], [21, 20, 22], [10, 11]]


def test_rows_that_did_not_happen_have_a_history_and_enter_none() -> None:
    rows: List[Row] = [(0, 1, 10, True), (0, 2, 20, False), (0, 3, 30, True), (0, 4, 40, False)]
    assert items(rows, histories.before(events(rows), np.arange(4), 5)) == [[], [1], [1], [1, 3]]
    assert items(rows, histories.after_last(events(rows), 5)) == [[1, 3]]


def test_an_event_logged_twice_is_not_its_own_past() -> None:
    # Item 2 twice in second 20: the second of them must not see the first. Item 1 came back later, which is news.
    rows: List[Row] = [(0, 1, 10, True), (0, 2, 20, True), (0, 2, 20, True), (0, 1, 30, True)]
    assert items(rows, histories.before(events(rows), np.arange(4), 5)) == [[], [1], [1], [1, 2, 2]]


def test_what_is_newer_counts_back_from_the_last_training_row() -> None:
    # User 0: training rows 0, 1, 2, but nothing stands before row 0. User 1: training row 5 alone, without a past.
    # User 2: rows 8 and 9, and 8 is the first.
    training = np.array([True, True, True, False, False, True, False, False, True, True])
    assert histories.newer(events(TEN), training).tolist() == [-1, 1, 0, -1, -1, -1, -1, -1, -1, 0]


def test_windows_show_each_event_as_a_target_once() -> None:
    # 11 events, L = 4: windows end at rows 10, 6 and 2, and their targets are the 4 before and including the end.
    rows: List[Row] = [(0, i, i, True) for i in range(11)]
    ends = np.flatnonzero(histories.newer(events(rows), np.ones(11, bool)) % 4 == 0)
    assert ends.tolist() == [2, 6, 10]
    past = items(rows, histories.before(events(rows), ends, 4))
    targets = [target for cells, end in zip(past, ends.tolist()) for target in (*cells, end)[1:]]
    assert sorted(targets) == list(range(1, 11))


any_rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 4), st.booleans()), max_size=30).map(
    lambda rows: sorted(rows, key=lambda row: (row[0], row[2]))
)


@given(any_rows, st.integers(1, 4))
def test_histories_are_what_the_slow_way_finds(rows: List[Row], maximum: int) -> None:
    expected = []
    for i, (user, item, time, _) in enumerate(rows):
        newest = [row for row in rows[:i] if row[0] == user and row[3]][-maximum:]
        expected.append([row[1] for row in newest if (row[1], row[2]) != (item, time)])
    assert items(rows, histories.before(events(rows), np.arange(len(rows)), maximum)) == expected


@given(any_rows, st.integers(1, 4))
def test_after_the_last_is_what_the_slow_way_finds(rows: List[Row], maximum: int) -> None:
    users = sorted({row[0] for row in rows})
    expected = [[row[1] for row in rows if row[0] == user and row[3]][-maximum:] for user in users]
    assert items(rows, histories.after_last(events(rows), maximum)) == expected


@given(any_rows, st.data())
def test_what_is_newer_is_what_the_slow_way_finds(rows: List[Row], data: st.DataObject) -> None:
    training = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), bool)
    expected = [-1] * len(rows)
    for user in {row[0] for row in rows}:
        own = [i for i, row in enumerate(rows) if row[0] == user and row[3] and training[i]]
        for place, i in enumerate(own[1:], 1):
            expected[i] = len(own) - 1 - place
    assert histories.newer(events(rows), training).tolist() == expected
