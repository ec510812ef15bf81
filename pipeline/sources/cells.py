"""Cells of a person's table to the types of the wire. What does not fit is an error naming file, row and column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Tuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from signatures.errors import UsageError

MISSING = {pa.int64(): -1, pa.string(): "", pa.float32(): float("nan")}

_WORDS = {pa.int64(): "a whole number", pa.string(): "text", pa.float32(): "a number"}
_NO_TIME = "set it: every row needs its time"
_TIME_CURE = "give Unix seconds or ISO 8601 text such as 2024-05-31T12:00:00"
_FAILURES = (pa.ArrowInvalid, pa.ArrowNotImplementedError)


@dataclass(frozen=True)
class Place:
    """Where cells stand, for the errors."""

    file: str
    column: str
    first_row: int
    """Of the batch, counted from 1 in the file; a header is not counted."""

    def wrong(self, index: int, is_what: str, cure: str) -> UsageError:
        """An error about one cell: what it is, and what to do."""
        return UsageError(f"{self.file} row {self.first_row + index}: column {self.column!r} is {is_what}; {cure}")


def convert(cells: pa.Array, to: pa.DataType, place: Place, list_separator: str) -> pa.Array:
    """Cells [n] of any type as `to`, a type of `layout.raw_types`; a null becomes the missing value.

    Text becomes a number, or is split at `list_separator`, where that is wanted. UsageError for the first misfit.
    """
    if pa.types.is_list(to):
        return _lists(_plain(cells), to, place, list_separator)
    return pc.fill_null(_values(_plain(cells), to, place), MISSING[to])


def seconds(cells: pa.Array, place: Place) -> pa.Array:
    """Times [n] as Unix seconds, int64: numbers as they are, dates and ISO 8601 text as UTC. None may be missing."""
    cells = _plain(cells)
    require(pc.is_valid(cells), cells, place, _NO_TIME)
    if pa.types.is_string(cells.type):
        cells = _times_of_text(pc.utf8_trim_whitespace(cells), place)
    if pa.types.is_temporal(cells.type):
        cells = pc.cast(pc.cast(cells, pa.timestamp("s"), safe=False), pa.int64())
    if pa.types.is_floating(cells.type):
        cells = pc.floor(cells)
    found = _values(cells, pa.int64(), place)
    require(pc.is_valid(found), found, place, _NO_TIME)
    return found


def require(fits: pa.Array, cells: pa.Array, place: Place, cure: str) -> None:
    """Raises UsageError for the first of cells [n] where `fits`, bool [n], is not true."""
    good = pc.fill_null(fits, False).to_numpy(zero_copy_only=False)
    if not good.all():
        index = int(np.flatnonzero(~good)[0])
        raise place.wrong(index, _shown(cells[index]), cure)


def newest(lists: pa.Array, maximum: int) -> pa.Array:
    """The last `maximum` cells of each list [n]."""
    return _cut(lists, maximum, lambda starts, ends: (np.maximum(starts, ends - maximum), ends))


def first(lists: pa.Array, maximum: int) -> pa.Array:
    """The first `maximum` cells of each list [n]."""
    return _cut(lists, maximum, lambda starts, ends: (starts, np.minimum(ends, starts + maximum)))


def _cut(
    lists: pa.Array, maximum: int, choose: Callable[[np.ndarray, np.ndarray], Tuple[np.ndarray, np.ndarray]]
) -> pa.Array:
    offsets = lists.offsets.to_numpy()
    if len(lists) == 0 or int(np.diff(offsets).max()) <= maximum:
        return lists
    starts, ends = choose(offsets[:-1].astype(np.int64), offsets[1:].astype(np.int64))
    lengths = ends - starts
    stops = np.cumsum(lengths)
    index = np.arange(stops[-1]) + np.repeat(starts - (stops - lengths), lengths)
    kept = np.concatenate([[0], stops]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(kept), lists.values.take(pa.array(index)))


def _plain(cells: pa.Array) -> pa.Array:
    """Without dictionaries and the large forms, which say how cells are stored and not what they are."""
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_large_string(cells.type) or pa.types.is_string_view(cells.type):
        return pc.cast(cells, pa.string())
    if pa.types.is_large_list(cells.type) or pa.types.is_fixed_size_list(cells.type):
        return pc.cast(cells, pa.list_(cells.type.value_type))
    return cells


def _values(cells: pa.Array, to: pa.DataType, place: Place) -> pa.Array:
    """Values as `to`, nulls as they are."""
    if cells.type == to or pa.types.is_null(cells.type):
        return cells.cast(to)
    if to == pa.string() and not (pa.types.is_integer(cells.type) or pa.types.is_boolean(cells.type)):
        raise _wrong_type(cells, to, place)
    if pa.types.is_nested(cells.type) or pa.types.is_temporal(cells.type) or pa.types.is_binary(cells.type):
        raise _wrong_type(cells, to, place)
    if pa.types.is_string(cells.type):
        cells = pc.utf8_trim_whitespace(cells)
        cells = pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)
    if pa.types.is_floating(cells.type):
        cells = pc.if_else(pc.is_nan(cells), pa.scalar(None, cells.type), cells)
    if pa.types.is_decimal(cells.type):
        cells = pc.cast(cells, pa.float64())
    return _cast(cells, to, place)


def _cast(cells: pa.Array, to: pa.DataType, place: Place) -> pa.Array:
    # float32 of a whole number is rounded, which is what is wanted; a fraction as a whole number is an error.
    safe = to != pa.float32()
    try:
        return pc.cast(cells, to, safe=safe)
    except _FAILURES as error:
        index = _first_failure(cells, to, safe)
        raise place.wrong(index, _shown(cells[index]), f"the schema says {_WORDS[to]}") from error


def _first_failure(cells: pa.Array, to: pa.DataType, safe: bool) -> int:
    low, high = 0, len(cells)  # cells[:low] fit, cells[:high] do not
    while high - low > 1:
        middle = (low + high) // 2
        try:
            pc.cast(cells[low:middle], to, safe=safe)
            low = middle
        except _FAILURES:
            high = middle
    return low


def _wrong_type(cells: pa.Array, to: pa.DataType, place: Place) -> UsageError:
    present = pc.index(pc.is_valid(cells), pa.scalar(True)).as_py()
    index = max(present, 0)
    return place.wrong(index, f"{_shown(cells[index])} of type {cells.type}", f"the schema says {_WORDS[to]}")


def _lists(cells: pa.Array, to: pa.DataType, place: Place, separator: str) -> pa.Array:
    if pa.types.is_null(cells.type):
        return pa.array([[]] * len(cells), to)
    if pa.types.is_string(cells.type):
        cells = _split(cells, separator)
    if not pa.types.is_list(cells.type):
        raise place.wrong(0, f"{_shown(cells[0])} of type {cells.type}", "the schema says a list")
    lengths = pc.fill_null(pc.list_value_length(cells), 0).to_numpy(zero_copy_only=False)
    rows = np.repeat(np.arange(len(cells)), lengths)
    values = _plain(cells.flatten())
    try:
        values = pc.fill_null(_values(values, to.value_type, place), MISSING[to.value_type])
    except UsageError as error:
        raise _in_list(cells, values, rows, to.value_type, place) from error
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _in_list(cells: pa.Array, values: pa.Array, rows: np.ndarray, to: pa.DataType, place: Place) -> UsageError:
    """The error again, for the row instead of the place among all values."""
    for index, row in enumerate(rows.tolist()):
        try:
            _values(values.slice(index, 1), to, place)
        except UsageError:
            shown = f"a list with {_shown(values[index])}"
            return place.wrong(row, shown, f"the schema says that each cell is {_WORDS[to]}")
    return place.wrong(0, f"of type {cells.type}", f"the schema says a list, each cell {_WORDS[to]}")


def _split(cells: pa.Array, separator: str) -> pa.Array:
    trimmed = pc.utf8_trim_whitespace(cells)
    empty = pc.fill_null(pc.equal(trimmed, ""), True)
    return pc.if_else(empty, pa.scalar(None, pa.list_(pa.string())), pc.split_pattern(trimmed, separator))


def _times_of_text(cells: pa.Array, place: Place) -> pa.Array:
    """Whole numbers if the first cell is one, else points in time."""
    for to in (pa.int64(), pa.timestamp("s", "UTC"), pa.timestamp("ns")):
        try:
            return pc.cast(cells, to)
        except _FAILURES as error:
            index = _first_failure(cells, to, True)
            if index > 0:
                raise place.wrong(index, _shown(cells[index]), _TIME_CURE) from error
    raise place.wrong(0, _shown(cells[0]), _TIME_CURE)


def _shown(cell: pa.Scalar) -> str:
    value = cell.as_py()
    if value is None or value != value:
        return "missing"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
