"""Which raw ids get an embedding row: those of the training part, most frequent first, ties by value."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Set, Tuple

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.preparation import parts
from pipeline.preparation.layout import Layout
from pipeline.schema import Bag, Categorical
from pipeline.schema import Sequence as SequenceFeature

Counts = Dict[str, pa.Table]
"""By vocabulary: columns `id` and `count`."""

_UNMERGED_ROWS = 1 << 16
"""Counts that may wait to be merged, or as many as there are distinct values: the work stays linear."""


def count(folder: Path, layout: Layout) -> Counts:
    """How often each id occurs in the rows of a part, by vocabulary, streamed. Missing ids are not counted.

    A history that `prepare` made is not counted where its cells are items: each of them has been a row already.
    """
    columns = sources(layout)
    counters = {table: _Counter() for table in columns}
    names = [name for columns_ in columns.values() for name in columns_]
    for batch in parts.read(folder, names):
        for table, names_ in columns.items():
            for name in names_:
                counters[table].add(batch.column(name))
    return {table: counter.result() for table, counter in counters.items()}


def sources(layout: Layout) -> Dict[str, List[str]]:
    """The columns that are counted for each vocabulary, by its owner's name."""
    found: Dict[str, List[str]] = {}
    made = {history.feature.name for history in layout.histories}
    shared: Set[Tuple[str, str]] = set()
    for feature in layout.schema.features:
        for part in (feature, *getattr(feature, "side_sequences", ())):
            if not isinstance(feature, (Categorical, Bag, SequenceFeature)) or part.hash_buckets is not None:
                continue
            if part.shares is None:
                found.setdefault(part.name, []).append(part.name)
            elif part.name not in made:
                shared.add((part.shares, part.name))
    for owner, name in sorted(shared):
        if owner in found:
            found[owner].append(name)
    return found


def entries(counts: pa.Table, minimum: int) -> pa.Array:
    """The vocabulary: ids seen at least `minimum` times, most frequent first, ties by value.

    Ids with a line break are left out: a vocabulary is a text file with an id a line.
    """
    kept = counts.filter(pc.greater_equal(counts["count"], minimum))
    if pa.types.is_string(kept["id"].type):
        kept = kept.filter(pc.invert(pc.match_substring_regex(kept["id"], "[\r\n]")))
    return kept.sort_by([("count", "descending"), ("id", "ascending")])["id"].combine_chunks()


def minimum_counts(layout: Layout) -> Dict[str, int]:
    """The `minimum_count` of each vocabulary's owner."""
    found = {}
    for feature in layout.schema.features:
        for part in (feature, *getattr(feature, "side_sequences", ())):
            found[part.name] = getattr(part, "minimum_count", 1)
    return {table: found[table] for table in sources(layout)}


def write(entries: pa.Array, path: Path) -> None:
    """One id a line."""
    text = "".join(f"{entry}\n" for entry in entries.to_pylist())
    path.write_bytes(text.encode())


class _Counter:
    """Counts of values, merged now and then so that memory follows the distinct values alone."""

    def __init__(self) -> None:
        self._tables: List[pa.Table] = []
        self._rows = 0
        self._limit = _UNMERGED_ROWS

    def add(self, column: pa.Array) -> None:
        values = column.flatten() if pa.types.is_list(column.type) else column
        missing = "" if pa.types.is_string(values.type) else -1
        found = pc.value_counts(values)
        table = pa.table({"id": found.field("values"), "count": found.field("counts")})
        self._tables.append(table.filter(pc.not_equal(table["id"], missing)))
        self._rows += table.num_rows
        if self._rows > self._limit:
            self._merge()

    def _merge(self) -> None:
        merged = pa.concat_tables(self._tables).group_by("id", use_threads=False).aggregate([("count", "sum")])
        self._tables = [pa.table({"id": merged["id"], "count": merged["count_sum"]})]
        self._rows = self._tables[0].num_rows
        self._limit = max(_UNMERGED_ROWS, 2 * self._rows)

    def result(self) -> pa.Table:
        self._merge()
        return self._tables[0]
