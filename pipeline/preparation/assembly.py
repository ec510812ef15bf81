"""Shards of raw rows to prepared rows: looked-up columns, histories, the part of each row, bookkeeping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, Iterator, Optional, Tuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.preparation import histories
from pipeline.preparation.layout import ARROW_TYPES, Layout, arrow_type, raw_types
from pipeline.preparation.spool import POSITION
from pipeline.prepared import EVENT_TIME, NEWER
from pipeline.sources.source import Source
from signatures.errors import UsageError

CHUNK_CELLS = 1 << 20
"""Cells of a history that are made at once."""

Assign = Callable[["Shard"], np.ndarray]
"""The part of each row of a shard, int8 [n]."""


@dataclass(frozen=True)
class Shard:
    """All rows of some users, in the order of `histories.Events`; or, without users, rows in the table's order."""

    table: pa.Table
    events: Optional[histories.Events]
    users: np.ndarray
    """[n] int64 codes; all zero without users."""
    times: np.ndarray
    """[n] int64, 0 where the data has no time."""
    positions: np.ndarray
    """[n] int64: places in the raw table."""


def shard(table: pa.Table, layout: Layout, source: Source, sort: bool) -> Shard:
    """Looks up what the source keeps aside; sorts by user and time if `sort`."""
    roles = layout.schema.roles
    times = np.zeros(table.num_rows, np.int64) if roles.time is None else table[roles.time].to_numpy()
    events, users = None, np.zeros(table.num_rows, np.int64)
    if sort:
        users = _codes(table[str(roles.user)])
        order = np.lexsort((table[POSITION].to_numpy(), times, users))
        table, times, users = table.take(pa.array(order)), times[order], users[order]
        happened = np.ones(len(times), bool) if layout.happened is None else table[layout.happened].to_numpy() > 0
        items = np.zeros(len(times), np.int64) if roles.item is None else _codes(table[roles.item])
        events = histories.Events(users, items, times, happened)
    table = _look_up(table, layout.user_columns, source.users, str(roles.user), source.dataset)
    table = _look_up(table, layout.item_columns, source.items, str(roles.item), source.dataset)
    return Shard(table, events, users, times, table[POSITION].to_numpy())


def rows(shard: Shard, layout: Layout, parts: np.ndarray) -> Iterator[Tuple[int, pa.Table]]:
    """Prepared rows of a shard, some at a time and of one part at a time. parts [n]: of each row."""
    longest = max([h.feature.maximum_length for h in layout.histories], default=1)
    newer = np.where(parts == 0, 0, -1).astype(np.int32)
    if layout.histories and shard.events is not None:
        newer = histories.newer(shard.events, parts == 0)
    step = max(CHUNK_CELLS // longest, 1)
    for part in np.unique(parts).tolist():
        of_part = np.flatnonzero(parts == part)
        for start in range(0, len(of_part), step):
            yield part, _rows(shard, layout, of_part[start : start + step], newer)


def _rows(shard: Shard, layout: Layout, chosen: np.ndarray, newer: np.ndarray) -> pa.Table:
    table = shard.table.take(pa.array(chosen))
    columns = dict(zip(table.column_names, table.columns))
    columns.update(_past(shard, layout, chosen))
    ones = pa.array(np.ones(len(chosen), np.float32))
    columns.update(dict.fromkeys(layout.constant, ones))
    columns[EVENT_TIME] = pa.array(shard.times[chosen])
    columns[NEWER] = pa.array(newer[chosen])
    return _table(columns, arrow_schema(layout, table.schema))


def users(shard: Shard, layout: Layout) -> pa.Table:
    """One row for each user of a sorted shard: the user side after the user's last event."""
    events = shard.events
    assert events is not None
    last = np.flatnonzero(np.append(events.users[1:] != events.users[:-1], True))
    table = shard.table.take(pa.array(last))
    columns = dict(zip(table.column_names, table.columns))
    for history in layout.histories:
        if history.feature.side == "user":
            cells = histories.after_last(events, history.feature.maximum_length)
            columns.update(_cells(shard.table, cells, history.cells))
    return _table(columns, users_schema(layout, shard.table.schema))


def arrow_schema(layout: Layout, given: pa.Schema) -> pa.Schema:
    """Columns of a prepared row. given: of the raw rows, for the ids that are no features."""
    fields = [pa.field(name, _type(layout, given, name)) for name in layout.stored]
    return pa.schema([*fields, pa.field(EVENT_TIME, pa.int64()), pa.field(NEWER, pa.int32())])


def users_schema(layout: Layout, given: pa.Schema) -> pa.Schema:
    """Columns of users.parquet."""
    schema = layout.schema
    names = [column.name for column in schema.columns("user") if column.role != "length"]
    names += [h.times for h in layout.histories if h.feature.side == "user"]
    names = list(dict.fromkeys([str(schema.roles.user), *names]))
    return pa.schema([pa.field(name, _type(layout, given, name)) for name in names])


def _type(layout: Layout, given: pa.Schema, name: str) -> pa.DataType:
    features = {c.name: arrow_type(c) for c in layout.schema.columns() if c.role != "length"}
    times = {h.times: pa.list_(ARROW_TYPES["int64"]) for h in layout.histories}
    types = {**raw_types(layout.schema), **times, **features}
    return types[name] if name in types else given.field(name).type


def _past(shard: Shard, layout: Layout, chosen: np.ndarray) -> Dict[str, pa.Array]:
    found: Dict[str, pa.Array] = {}
    for history in layout.histories:
        assert shard.events is not None
        cells = histories.before(shard.events, chosen, history.feature.maximum_length)
        found.update(_cells(shard.table, cells, history.cells))
    return found


def _cells(table: pa.Table, cells: histories.Cells, columns: Dict[str, str]) -> Dict[str, pa.Array]:
    return {column: cells.take(_whole(table[source])) for column, source in columns.items()}


def _look_up(table: pa.Table, names: Tuple[str, ...], known: Optional[pa.Table], key: str, dataset: str) -> pa.Table:
    if not names:
        return table
    assert known is not None
    found = pc.index_in(table[key], value_set=_whole(known[key]))
    if found.null_count:
        stranger = table[key].filter(pc.is_null(found))[0].as_py()
        raise UsageError(f"{dataset}: {key} {stranger!r} has events but is not described; fetch the data set again")
    for name in names:
        table = table.append_column(name, known[name].take(found))
    return table


def _codes(ids: pa.ChunkedArray) -> np.ndarray:
    """Small int64 codes [n], equal for equal ids."""
    return np.asarray(pc.dictionary_encode(_whole(ids)).indices.to_numpy(), np.int64)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])


def _table(columns: Dict[str, pa.Array], schema: pa.Schema) -> pa.Table:
    # Only a time that is a feature as well has another type here.
    cells = [columns[field.name] for field in schema]
    fitting = [c if c.type == f.type else c.cast(f.type, safe=False) for c, f in zip(cells, schema)]
    return pa.table(fitting, schema=schema)
