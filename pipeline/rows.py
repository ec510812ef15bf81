"""Rows of a prepared Parquet file as numpy arrays, in the shapes of the wire."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.prepared import Part, Prepared
from pipeline.schema import Column
from signatures.errors import UsageError

Rows = Dict[str, np.ndarray]
"""n rows by column: values [n]; lists [n, L] padded behind with 0 or "", with `NAME_length` int64 [n]; vectors [n, W].

int64, float32 (missing is NaN), bool, or object for strings. A missing id is -1 or "".
"""

_ARROW = {"int64": pa.int64(), "string": pa.string(), "float32": pa.float32()}
_MISSING = {"int64": -1, "string": "", "float32": np.float32("nan")}
_PADDING = {"int64": 0, "string": "", "float32": np.float32("nan")}


@dataclass(frozen=True)
class RowGroup:
    """The part of a Parquet file that is read at once."""

    path: Path
    index: int
    rows: int


def read(prepared: Prepared, part: Part, columns: Sequence[Column], others: Sequence[str] = ()) -> Rows:
    """A whole part in the order of its files; see `from_table`. Raises UsageError for files that cannot be read."""
    return read_groups(row_groups(prepared, part), columns, others)


def row_groups(prepared: Prepared, part: Part) -> List[RowGroup]:
    """Where the rows of a part are, in order, from the files' footers alone."""
    found = []
    for path in files(prepared, part):
        with _readable(path):
            footer = pq.read_metadata(path)
            found += [RowGroup(path, i, footer.row_group(i).num_rows) for i in range(footer.num_row_groups)]
    return found


def files(prepared: Prepared, part: Part) -> List[Path]:
    """The Parquet files of a part, by name. UsageError when there is none."""
    found = sorted(prepared.part(part).glob("*.parquet"))
    if not found:
        raise UsageError(f"data folder {prepared.part(part)} holds no Parquet file; run signet prepare again")
    return found


def read_groups(
    groups: Sequence[RowGroup],
    columns: Sequence[Column],
    others: Sequence[str] = (),
    at: Optional[np.ndarray] = None,
) -> Rows:
    """The rows of these groups in the order given, or those `at` these increasing positions; see `from_table`."""

    def load(name: str) -> pa.ChunkedArray:
        # A column at a time: the Arrow form of all of them beside the numpy form would double the memory.
        stored = read_table(groups, [name])[name]
        return stored if at is None or len(at) == len(stored) else stored.take(at)

    return _rows(load, columns, others)


def read_table(groups: Sequence[RowGroup], names: Sequence[str]) -> pa.Table:
    """These stored columns of these groups, and nothing else of the files. UsageError for what cannot be read."""
    if not groups:
        raise UsageError("the data has no row to read; run signet prepare again, and look at its counts")
    tables = []
    for group in groups:
        with _readable(group.path):
            file = pq.ParquetFile(group.path)
            _require(names, file.schema_arrow.names, str(group.path))
            tables.append(file.read_row_group(group.index, columns=list(names), use_threads=False))
    return pa.concat_tables(tables)


def read_file(path: Path, columns: Sequence[Column], others: Sequence[str] = ()) -> Rows:
    """All rows of one file; see `from_table`."""
    names = _stored(columns, others)
    with _readable(path):
        _require(names, pq.read_schema(path).names, str(path))
        table = pq.ParquetFile(path).read(columns=names)
    return from_table(table, columns, others)


def column_names(path: Path) -> List[str]:
    """Of one Parquet file. Raises UsageError when it cannot be read."""
    with _readable(path):
        return list(pq.read_schema(path).names)


def from_table(table: pa.Table, columns: Sequence[Column], others: Sequence[str] = ()) -> Rows:
    """The raw columns of features, and `others` (labels, bookkeeping) as their stored type says.

    A list's length is its own, so a column of role `length` need not be stored. Raises UsageError for a column that is
    absent, of another type, or whose cells do not fit (a vector of another width, side sequences out of step).
    """
    _require(_stored(columns, others), table.column_names, "the table")
    return _rows(table.column, columns, others)


def count(rows: Rows) -> int:
    """How many rows there are."""
    return len(next(iter(rows.values()), ()))


def take(rows: Rows, index: np.ndarray) -> Rows:
    """The rows at these positions (or of this bool mask), [len(index), ...]; with an index [B, N], [B, N, ...]."""
    return {name: cells[index] for name, cells in rows.items()}


def concatenate(parts: Sequence[Rows]) -> Rows:
    """One after the other; lists are padded to the longest."""
    return {name: _stack([part[name] for part in parts]) for name in parts[0]}


def _rows(load: Callable[[str], pa.ChunkedArray], columns: Sequence[Column], others: Sequence[str]) -> Rows:
    found: Rows = {}
    for column in columns:
        if column.role != "length":
            _add(found, column, load(column.name))
    for name in others:
        if name not in found:
            found[name] = _other(name, load(name))
    return found


def _stack(arrays: List[np.ndarray]) -> np.ndarray:
    if arrays[0].ndim == 1:
        return np.concatenate(arrays)
    width = max(array.shape[1] for array in arrays)
    return np.concatenate([_widen(array, width) for array in arrays])


def _widen(cells: np.ndarray, width: int) -> np.ndarray:
    if cells.shape[1] == width:
        return cells
    padding = "" if cells.dtype == object else 0
    return np.pad(cells, ((0, 0), (0, width - cells.shape[1])), constant_values=padding)


def _add(found: Rows, column: Column, stored: pa.ChunkedArray) -> None:
    if not column.shape:
        found[column.name] = _values(column, stored)
        return
    cells, lengths = _lists(column, stored)
    if column.length is None:
        found[column.name] = _vectors(column, cells, lengths)
        return
    known = found.setdefault(column.length, lengths)
    if not np.array_equal(known, lengths):
        row = int(np.flatnonzero(known != lengths)[0])
        raise UsageError(
            f"column {column.name!r} has {lengths[row]} cells in row {row} where {column.length} is {known[row]}; "
            "side sequences and times need one cell for each of the sequence's"
        )
    found[column.name] = cells


def _values(column: Column, stored: Any) -> np.ndarray:
    """[n] of a chunked or plain array, missing cells filled."""
    filled = pc.fill_null(_cast(column, stored, _ARROW[column.dtype]), _MISSING[column.dtype])
    return np.asarray(filled.to_numpy(zero_copy_only=False) if isinstance(filled, pa.Array) else filled.to_numpy())


def _lists(column: Column, stored: pa.ChunkedArray) -> Tuple[np.ndarray, np.ndarray]:
    """Cells [n, L], L the longest, and lengths int64 [n]; a missing list has none."""
    lists = _cast(column, stored, pa.list_(_ARROW[column.dtype])).combine_chunks()
    if isinstance(lists, pa.ChunkedArray):  # of an empty column, or of one too large for 32-bit offsets
        lists = pa.concat_arrays(lists.chunks) if lists.num_chunks else pa.array([], lists.type)
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    width = int(lengths.max()) if len(lengths) else 0
    dtype = object if column.dtype == "string" else column.dtype
    cells = np.full((len(lengths), width), _PADDING[column.dtype], dtype)
    cells[np.arange(width) < lengths[:, np.newaxis]] = _values(column, lists.flatten())
    return cells, lengths


def _vectors(column: Column, cells: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """[n, W]; a missing vector is all NaN."""
    width = column.shape[0] or 0
    wrong = np.flatnonzero((lengths != width) & (lengths != 0))
    if len(wrong):
        raise UsageError(
            f"column {column.name!r} has {lengths[wrong[0]]} numbers in row {wrong[0]}; its feature says width {width}"
        )
    return cells if cells.shape[1] == width else np.full((len(lengths), width), np.nan, np.float32)


def _other(name: str, stored: pa.ChunkedArray) -> np.ndarray:
    kind = stored.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _values(Column(name=name, dtype="string"), stored)
    if pa.types.is_floating(kind):
        return _values(Column(name=name, dtype="float32"), stored)
    if stored.null_count:
        raise UsageError(f"column {name!r} has {stored.null_count} missing cells; run signet prepare again")
    if pa.types.is_boolean(kind):
        return np.asarray(stored.to_numpy())
    return _values(Column(name=name, dtype="int64"), stored)


def _cast(column: Column, stored: Any, to: pa.DataType) -> Any:
    try:
        return stored.cast(to)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UsageError(
            f"column {column.name!r} is stored as {stored.type} and its feature says {to}; run signet prepare again"
        ) from error


def _stored(columns: Sequence[Column], others: Sequence[str]) -> List[str]:
    names = [column.name for column in columns if column.role != "length"]
    return names + [name for name in others if name not in names]


def _require(names: Sequence[str], present: Sequence[str], where: str) -> None:
    missing = [name for name in names if name not in present]
    if missing:
        raise UsageError(f"column {missing[0]!r} is missing in {where}; run signet prepare again")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{path} is no whole Parquet file ({reason}); run signet prepare again") from error
