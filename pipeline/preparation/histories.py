"""What a user had done before each row: histories of earlier events, a shard at once, and what is newer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Tuple

import numpy as np
import pyarrow as pa

from pipeline.preparation.splits import spans


@dataclass(frozen=True)
class Events:
    """n rows of a shard, one user's rows together, oldest first, ties in the table's order."""

    users: np.ndarray
    """[n] int64 codes."""
    items: np.ndarray
    """[n] int64 codes."""
    times: np.ndarray
    """[n] int64 Unix seconds."""
    happened: np.ndarray
    """[n] bool: True for the rows that enter later histories."""

    @cached_property
    def place(self) -> np.ndarray:
        """[m] int64: the rows that happened."""
        return np.flatnonzero(self.happened)

    @cached_property
    def earlier(self) -> np.ndarray:
        """[n + 1] int64: how many of all rows before each happened; the last is of the end."""
        return np.concatenate([[0], np.cumsum(self.happened)])

    @cached_property
    def spans(self) -> Tuple[np.ndarray, np.ndarray]:
        """[n] int64 each: where the rows of each row's user begin and end."""
        return spans(self.users)

    @cached_property
    def repeated(self) -> np.ndarray:
        """[n] bool: True where the user met the same item in the same second in another row too."""
        order = np.lexsort((self.items, self.times, self.users))
        keys = [self.users[order], self.times[order], self.items[order]]
        same = np.logical_and.reduce([key[1:] == key[:-1] for key in keys])
        found = np.zeros(len(order), bool)
        found[order] = np.append(same, False) | np.insert(same, 0, False) if len(order) else False
        return found


@dataclass(frozen=True)
class Cells:
    """The cells of m lists, one after the other."""

    index: np.ndarray
    """[c] int64: the row each cell shows."""
    offsets: np.ndarray
    """[m + 1] int32: where each list begins and ends."""

    def take(self, column: pa.Array) -> pa.Array:
        """The lists of a column's values, [m]."""
        return pa.ListArray.from_arrays(pa.array(self.offsets), column.take(pa.array(self.index)))


def before(events: Events, rows: np.ndarray, maximum: int) -> Cells:
    """For each of these rows [m] the newest `maximum` earlier events of its user, oldest first.

    An event of the same item in the same second is the row itself, logged twice or shown and then clicked: it is not
    part of the past.
    """
    first, _ = events.spans
    stop = events.earlier[rows]
    start = np.maximum(events.earlier[first[rows]], stop - maximum)
    cells = _ragged(events.place, start, stop)
    lengths = stop - start
    if events.repeated[rows].any():
        place = np.repeat(np.arange(len(rows)), lengths)
        row = rows[place]
        own = (events.times[cells] == events.times[row]) & (events.items[cells] == events.items[row])
        lengths = lengths - np.bincount(place[own], minlength=len(lengths))
        cells = cells[~own]
    return Cells(cells, _offsets(lengths))


def after_last(events: Events, maximum: int) -> Cells:
    """For each user of the shard, in order, the newest `maximum` events, oldest first."""
    first, end = events.spans
    starts = np.unique(first)
    stop = events.earlier[end[starts]]
    start = np.maximum(events.earlier[starts], stop - maximum)
    return Cells(_ragged(events.place, start, stop), _offsets(stop - start))


def newer(events: Events, training: np.ndarray) -> np.ndarray:
    """int32 [n]: how many of the user's training rows that happened come after this one.

    -1 where it is of another part, did not happen or has no past. Rows at every L-th of these numbers are the ends of
    windows that tile a user's events: the history of such a row with its item behind it ends where the next begins, so
    that together they show each event as a target once, but for the first, before which nothing is known.
    """
    rows = np.flatnonzero(training & events.happened)
    first, end = spans(events.users[rows])
    rank = np.arange(len(rows))
    found = np.full(len(training), -1, np.int32)
    found[rows] = np.where(rank > first, end - 1 - rank, -1)
    return found


def _ragged(place: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """place[start[i]:stop[i]] for all i, one after the other."""
    lengths = stop - start
    ends = np.cumsum(lengths)
    steps = np.arange(ends[-1] if len(ends) else 0) + np.repeat(start - (ends - lengths), lengths)
    found: np.ndarray = place[steps]
    return found


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
