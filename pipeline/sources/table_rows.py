"""Raw batches of one file to canonical ones: types, missing values, list lengths, labels, masks and weights."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Optional

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.preparation.layout import Layout, raw_types
from pipeline.schema import Bag, Dense, Sequence
from pipeline.sources import cells
from pipeline.sources.cells import Place
from signatures.errors import UsageError


class Checker:
    """Converts the batches of one file in order, counting its rows."""

    def __init__(self, file: Path, layout: Layout, list_separator: str) -> None:
        self._file, self._layout, self._separator = file, layout, list_separator
        self._types = raw_types(layout.schema, layout.histories)
        self._rows = 0

    def convert(self, raw: pa.RecordBatch) -> pa.RecordBatch:
        """The batch in the types of `raw_types`, without nulls. Raises UsageError naming file, row and column."""
        found = {name: self._column(name, raw.column(name)) for name in self._layout.given}
        self._check_keys(found)
        for feature in self._layout.schema.features:
            if feature.name in found:
                self._fit_lists(feature, found)
        self._check_numbers(found)
        self._rows += raw.num_rows
        return pa.record_batch(list(found.values()), names=list(found))

    def same_types(self, types: pa.Schema, first: pa.Schema) -> None:
        """Raises UsageError when an id that is no feature changes its type from file to file, or within one."""
        for field in types:
            if field.type != first.field(field.name).type:
                before = first.field(field.name).type
                raise UsageError(
                    f"{self._file}: column {field.name!r} is {field.type} and was {before} in the file before; "
                    "make it one type throughout"
                )

    def _place(self, column: str) -> Place:
        return Place(str(self._file), column, self._rows + 1)

    def _column(self, name: str, raw: pa.Array) -> pa.Array:
        place = self._place(name)
        schema = self._layout.schema
        if name == schema.roles.time:
            return cells.seconds(raw, place)
        if name in self._types:
            return cells.convert(raw, self._types[name], place, self._separator)
        # A user or item that is no feature: whole numbers stay, anything else is text.
        to = pa.int64() if pa.types.is_integer(raw.type) else pa.string()
        return cells.convert(raw, to, place, self._separator)

    def _check_keys(self, found: Dict[str, pa.Array]) -> None:
        roles = self._layout.schema.roles
        if not self._layout.positives_only and not self._layout.histories:
            return
        for name in (roles.user, roles.item):
            if name is not None:
                ids = found[name]
                present = pc.not_equal(ids, cells.MISSING[ids.type])
                shown = pc.if_else(present, ids, pa.scalar(None, ids.type))
                cells.require(present, shown, self._place(name), "an event needs its user and its item")

    def _fit_lists(self, feature: object, found: Dict[str, pa.Array]) -> None:
        if isinstance(feature, Bag):
            found[feature.name] = cells.first(found[feature.name], feature.maximum_length)
        if isinstance(feature, Dense):
            vectors = found[feature.name]
            lengths = pc.list_value_length(vectors)
            # A missing vector has no cell; any other has all.
            wanted = pc.if_else(pc.equal(lengths, 0), 0, feature.width)
            self._check_lengths(feature.name, vectors, wanted, "as its width says")
        if isinstance(feature, Sequence):
            lengths = pc.list_value_length(found[feature.name])
            columns = [c.name for c in feature.columns() if c.role != "length"]
            for name in columns[1:]:
                self._check_lengths(name, found[name], lengths, f"one for each cell of {feature.name!r}")
            for name in columns:
                found[name] = cells.newest(found[name], feature.maximum_length)

    def _check_lengths(self, name: str, lists: pa.Array, wanted: pa.Array, why: str) -> None:
        lengths = pc.list_value_length(lists)
        index = pc.index(pc.equal(lengths, wanted), pa.scalar(False)).as_py()
        if index >= 0:
            raise self._place(name).wrong(index, f"a list of {lengths[index]}", f"give {wanted[index]}, {why}")

    def _check_numbers(self, found: Dict[str, pa.Array]) -> None:
        schema = self._layout.schema
        masks: Dict[str, Optional[str]] = {task.label: task.mask for task in schema.tasks if task.kind == "binary"}
        for part in (*schema.masks, *schema.sample_weights):
            if part.name in found:
                numbers = found[part.name]
                cells.require(pc.is_finite(numbers), _or_null(numbers), self._place(part.name), "give a number")
                cells.require(pc.greater_equal(numbers, 0), numbers, self._place(part.name), "give 0 or more")
        for label, mask in masks.items():
            if label in found:
                unused = pc.equal(found[mask], 0) if mask in found else pa.scalar(False)
                # A label that does not count may be anything; as 0 it cannot turn a sum into NaN.
                numbers = found[label] = pc.if_else(unused, pa.scalar(0, pa.float32()), found[label])
                place = self._place(label)
                cells.require(pc.is_finite(numbers), _or_null(numbers), place, "give 0 or 1")
                between = pc.and_(pc.greater_equal(numbers, 0), pc.less_equal(numbers, 1))
                cells.require(between, numbers, place, "a label is a number from 0 to 1")


def _or_null(numbers: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, numbers.type), numbers)
