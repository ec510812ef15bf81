"""One row for each item, and for each user of a table whose rows are as they were given: streamed over the parts."""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.preparation import parts as part_files
from pipeline.preparation.layout import Layout, arrow_type
from pipeline.preparation.splits import PARTS
from pipeline.prepared import EVENT_TIME, TITLE, TRAIN_COUNT
from pipeline.sources.source import Source

_RANK = "rank"


def items(folder: Path, layout: Layout, source: Source) -> pa.Table:
    """Rows of items.parquet: those of the source's own table, else of all items in the rows.

    An item's columns are those of its newest training row; an item without one shows those of its oldest later row,
    which is as much as was known when it first came.
    """
    key = str(layout.schema.roles.item)
    names = [c.name for c in layout.schema.columns("item") if c.role != "length"]
    names = list(dict.fromkeys([key, *names]))
    if source.items is None:
        names += [TITLE] if TITLE in layout.given and TITLE not in names else []
        table = _collect(folder, key, names, newest=False)
        table = table.sort_by(key)
    else:
        table = source.items
        names += [TITLE] if TITLE in table.column_names else []
        table = table.select(names)
    if TITLE not in table.column_names:
        table = table.append_column(TITLE, pa.array([""] * table.num_rows, pa.string()))
    return _typed(table, layout).append_column(TRAIN_COUNT, counts(folder / "train", layout, table[key]))


def counts(train: Path, layout: Layout, ids: pa.ChunkedArray) -> pa.Array:
    """How many training rows that happened each of these items has, int64 [M]."""
    key = str(layout.schema.roles.item)
    names = [key] if layout.happened is None else [key, layout.happened]
    found = np.zeros(len(ids) + 1, np.int64)  # the last for rows of no item
    known = ids.combine_chunks()
    for batch in part_files.read(train, names):
        rows = batch.column(key)
        if layout.happened is not None:
            rows = rows.filter(pc.greater(batch.column(layout.happened), 0))
        places = pc.fill_null(pc.index_in(rows, value_set=known), len(ids)).to_numpy()
        found += np.bincount(places, minlength=len(found))
    return pa.array(found[:-1])


def users(folder: Path, layout: Layout) -> pa.Table:
    """Rows of users.parquet where no history was made: the user side of each user's newest row of all."""
    key = str(layout.schema.roles.user)
    names = [c.name for c in layout.schema.columns("user") if c.role != "length"]
    names = list(dict.fromkeys([key, *names]))
    return _typed(_collect(folder, key, names, newest=True).sort_by(key), layout)


def _collect(folder: Path, key: str, names: List[str], newest: bool) -> pa.Table:
    """The chosen row of each id: the newest training row, else the oldest later row; or, if `newest`, the newest."""
    known: Optional[pa.Table] = None
    for part in PARTS:
        for batch in part_files.read(folder / part, list(dict.fromkeys([*names, EVENT_TIME]))):
            table = pa.Table.from_batches([batch])
            time = table[EVENT_TIME].to_numpy()
            # The greatest rank wins. Training rows stand above all later ones, which count backwards.
            rank = time if newest or part == "train" else -time - (1 << 61)
            table = table.append_column(_RANK, pa.array(rank))
            known = _best(table if known is None else pa.concat_tables([known, table.select(known.column_names)]), key)
    assert known is not None
    missing = "" if pa.types.is_string(known[key].type) else -1
    return known.filter(pc.not_equal(known[key], missing)).select(names)


def _best(table: pa.Table, key: str) -> pa.Table:
    """For each id the row of the greatest rank, the last of them at a tie."""
    ids = pc.dictionary_encode(table[key].combine_chunks()).indices.to_numpy()
    order = np.lexsort((np.arange(len(ids)), table[_RANK].to_numpy(), ids))
    last = np.append(ids[order][1:] != ids[order][:-1], True) if len(ids) else np.zeros(0, bool)
    return table.take(pa.array(order[last])).combine_chunks()


def _typed(table: pa.Table, layout: Layout) -> pa.Table:
    types = {column.name: arrow_type(column) for column in layout.schema.columns()}
    for index, name in enumerate(table.column_names):
        if name in types:
            table = table.set_column(index, name, table[name].cast(types[name]))
    return table
