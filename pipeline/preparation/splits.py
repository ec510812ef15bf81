"""Which part a row belongs to: 0 training, 1 validation, 2 test."""

from __future__ import annotations

from typing import Callable, Iterable, Iterator, List, Literal, Tuple

import numpy as np

from pipeline.prepared import Part

PARTS: Tuple[Part, ...] = ("train", "validation", "test")
Kind = Literal["leave_one_out", "time", "order", "random", "published"]

MINIMUM_EVENTS = 3
"""A user with fewer has none to hold out."""

_BINS = 1 << 16


def leave_one_out(users: np.ndarray) -> np.ndarray:
    """users [n]: equal neighbours are one user's rows, oldest first. The last is for test, the one before for
    validation; users with fewer than three rows are training only. Returns int8 [n]."""
    first, end = spans(users)
    from_last = end - 1 - np.arange(len(users))
    held_out = np.where(from_last == 0, 2, np.where(from_last == 1, 1, 0))
    return np.where(end - first >= MINIMUM_EVENTS, held_out, 0).astype(np.int8)


def spans(users: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """For each of n sorted rows, where its user's rows begin and end (behind the last), int64 [n] each."""
    new = np.append(True, users[1:] != users[:-1])[: len(users)]
    starts = np.flatnonzero(new)
    ends = np.append(starts, len(users))[1:]
    counts = ends - starts
    return np.repeat(starts, counts), np.repeat(ends, counts)


def by_time(times: np.ndarray, thresholds: Tuple[int, int]) -> np.ndarray:
    """Rows at or after the first threshold are for validation, at or after the second for test; int8 [n]."""
    return ((times >= thresholds[0]).astype(np.int8) + (times >= thresholds[1])).astype(np.int8)


def by_order(positions: np.ndarray, rows: int, fractions: Tuple[float, float]) -> np.ndarray:
    """The last rows of the table, by these fractions of validation and test; int8 [n]."""
    test = rows - round(rows * fractions[1])
    return by_time(positions, (test - round(rows * fractions[0]), test))


def at_random(positions: np.ndarray, seed: int, fractions: Tuple[float, float]) -> np.ndarray:
    """By a hash of the row's place and the seed, so that the batches do not matter; int8 [n]."""
    share = _uniform(positions, seed)
    return np.where(share < fractions[1], 2, np.where(share < sum(fractions), 1, 0)).astype(np.int8)


def published(positions: np.ndarray, rows: int, held_out: int, seed: int, fraction: float) -> np.ndarray:
    """The last `held_out` of the table's rows are for test; of the others this fraction, drawn as by `at_random`, for
    validation; int8 [n]."""
    return np.where(positions >= rows - held_out, 2, at_random(positions, seed, (fraction, 0.0))).astype(np.int8)


def thresholds(times: Callable[[], Iterable[np.ndarray]], fractions: Tuple[float, float]) -> Tuple[int, int]:
    """Times from which rows are for validation and for test, such that these fractions of all rows are.

    times: batches of int64 [n], each call from the start; they are never together in memory. Rows of the same second
    stay together, on the later side.
    """
    low, high, rows = _range(times())
    test = round(rows * fractions[1])
    wanted = (test + round(rows * fractions[0]), test)
    return (_newest(times, low, high, wanted[0]), _newest(times, low, high, wanted[1]))


def _newest(times: Callable[[], Iterable[np.ndarray]], low: int, high: int, rows: int) -> int:
    """The latest second such that at least `rows` are not before it: a histogram, then one of its bin, and so on."""
    if rows <= 0:
        return high + 1
    above = 0
    while True:
        width = max(-(-(high + 1 - low) // _BINS), 1)
        counts = _histogram(times(), low, high, width)
        from_end = above + np.cumsum(counts[::-1])
        bin_ = _BINS - 1 - int(np.searchsorted(from_end, rows))
        above = int(from_end[_BINS - 1 - bin_] - counts[bin_])
        low, high = low + bin_ * width, low + (bin_ + 1) * width - 1
        if width == 1:
            return low


def _histogram(times: Iterable[np.ndarray], low: int, high: int, width: int) -> np.ndarray:
    counts = np.zeros(_BINS, np.int64)
    for batch in times:
        inside = batch[(batch >= low) & (batch <= high)]
        counts += np.bincount((inside - low) // width, minlength=_BINS)
    return counts


def _range(times: Iterable[np.ndarray]) -> Tuple[int, int, int]:
    lows: List[int] = []
    highs: List[int] = []
    rows = 0
    for batch in _filled(times):
        lows, highs = [min([*lows, int(batch.min())])], [max([*highs, int(batch.max())])]
        rows += len(batch)
    return lows[0], highs[0], rows


def _filled(times: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    return (batch for batch in times if len(batch))


def _uniform(positions: np.ndarray, seed: int) -> np.ndarray:
    """Numbers in [0, 1) by splitmix64 of place and seed, float64 [n]."""
    z = positions.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)) / float(1 << 53)
