"""Where each column of a prepared row comes from: the raw row, the table of its user or item, or earlier events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

import pyarrow as pa

from pipeline.prepared import EVENT_TIME, NEWER, TITLE, TRAIN_COUNT
from pipeline.schema import Categorical, Column, Schema
from pipeline.schema import Sequence as SequenceFeature
from signatures.errors import UsageError

ARROW_TYPES = {"int64": pa.int64(), "string": pa.string(), "float32": pa.float32()}

_RESERVED = (EVENT_TIME, NEWER, TRAIN_COUNT)


@dataclass(frozen=True)
class History:
    """A sequence that `prepare` makes of a user's earlier events."""

    feature: SequenceFeature
    cells: Dict[str, str]
    """By column of the sequence (its ids, side sequences, times): the event's column it shows."""
    times: str
    """Which of these columns holds the times; bookkeeping where the schema names none."""


@dataclass(frozen=True)
class Layout:
    """How the rows of one source become prepared rows."""

    schema: Schema
    histories: Tuple[History, ...]
    given: Tuple[str, ...]
    """Columns that come with each raw row."""
    user_columns: Tuple[str, ...]
    """Columns looked up in the source's table of users."""
    item_columns: Tuple[str, ...]
    constant: Tuple[str, ...]
    """Labels, masks and weights the rows do not have: 1, for what is recorded is what happened."""
    happened: Optional[str]
    """The label that says whether a row happened; None where every row did. Only such rows enter a history."""
    positives_only: bool

    @property
    def supposed_labels(self) -> Tuple[str, ...]:
        """Labels that are 1 in every row, because the rows have no such column."""
        return tuple(label.name for label in self.schema.labels if label.name in self.constant)

    @property
    def stored(self) -> Tuple[str, ...]:
        """Columns of a prepared row before the bookkeeping, in order."""
        schema = self.schema
        names = [column.name for column in schema.columns() if column.role != "length"]
        names += [h.times for h in self.histories]
        names += [role for role in (schema.roles.user, schema.roles.item) if role is not None]
        names += [name for name in schema.training_only if name in self.given + self.constant]
        names += [TITLE] if TITLE in self.given else []
        return tuple(dict.fromkeys(names))


def plan(
    schema: Schema, columns: Sequence[str], where: str, users: Sequence[str] = (), items: Sequence[str] = ()
) -> Layout:
    """Finds a place for every column of the schema.

    columns, users, items: names present in the rows, and in the tables of users and items if there are any.
    where: the source's name for the errors. Raises UsageError for a column that is nowhere.
    """
    roles = schema.roles
    _check_reserved(schema)
    happened = _happened(schema, columns)
    events = None not in (roles.user, roles.item, roles.time) and not _labelled(schema, columns)
    histories = _histories(schema, columns)
    built = {column for history in histories for column in history.cells}
    needed = [c.name for c in schema.columns() if c.role != "length" and c.name not in built]
    needed += [name for name in (roles.user, roles.item, roles.time) if name is not None]
    needed += [name for history in histories for name in history.cells.values()]
    constant = _constant(schema, columns, events)
    next_items = {task.label for task in schema.tasks if task.kind == "next_item"}
    needed += [name for name in schema.training_only if name not in constant and name not in next_items]
    needed += [TITLE] if roles.item is not None and TITLE in columns else []
    needed = list(dict.fromkeys(needed))
    user_columns = tuple(name for name in needed if name not in columns and name in users)
    item_columns = tuple(name for name in needed if name not in columns and name in items)
    given = tuple(name for name in needed if name not in user_columns + item_columns)
    _require(schema, given, columns, where)
    return Layout(schema, histories, given, user_columns, item_columns, constant, happened, events)


def raw_types(schema: Schema, histories: Sequence[History] = ()) -> Dict[str, pa.DataType]:
    """Arrow types of raw columns that the schema determines; ids outside the features are not among them."""
    types = {column.name: arrow_type(column) for column in schema.columns() if column.role != "length"}
    types.update({name: pa.float32() for name in schema.training_only})
    for history in histories:
        parts = {side.name: side.dtype for side in history.feature.side_sequences}
        for column, source in history.cells.items():
            if column in parts:
                types.setdefault(source, ARROW_TYPES[parts[column]])
    types.setdefault(TITLE, pa.string())
    if schema.roles.time is not None:
        types.setdefault(schema.roles.time, pa.int64())
    return types


def arrow_type(column: Column) -> pa.DataType:
    """How a raw column is stored: values as they are, lists and vectors as lists."""
    value = ARROW_TYPES[column.dtype]
    return pa.list_(value) if column.shape else value


def _happened(schema: Schema, columns: Sequence[str]) -> Optional[str]:
    """The first binary label without a mask that the rows have."""
    for task in schema.tasks:
        if task.kind == "binary" and task.mask is None and task.label in columns:
            return task.label
    return None


def _labelled(schema: Schema, columns: Sequence[str]) -> bool:
    """Do the rows say themselves what happened? Then nothing is supposed, and no negative is drawn."""
    tasks = [task for task in schema.tasks if task.kind == "binary"]
    unmasked = [task.label for task in tasks if task.mask is None]
    if unmasked:
        return any(label in columns for label in unmasked)
    return any(task.label in columns and task.mask in columns for task in tasks)


def _constant(schema: Schema, columns: Sequence[str], events: bool) -> Tuple[str, ...]:
    absent = [part.name for part in schema.sample_weights if part.name not in columns]
    if events:
        absent += [part.name for part in schema.masks if part.name not in columns]
        unmasked = {task.label for task in schema.tasks if task.kind == "binary" and task.mask is None}
        absent += [part.name for part in schema.labels if part.name in unmasked]
    return tuple(absent)


def _histories(schema: Schema, columns: Sequence[str]) -> Tuple[History, ...]:
    found: List[History] = []
    for feature in schema.features:
        if isinstance(feature, SequenceFeature) and feature.name not in columns and _shows_items(schema, feature):
            found.append(_history(schema, feature))
    return tuple(found)


def _shows_items(schema: Schema, feature: SequenceFeature) -> bool:
    roles = schema.roles
    if None in (roles.user, roles.item, roles.time):
        return False
    item = next((f for f in schema.features if f.name == roles.item), None)
    # A vocabulary may be owned by another feature that both share.
    return isinstance(item, Categorical) and feature.shares is not None and feature.shares in (item.name, item.shares)


def _history(schema: Schema, feature: SequenceFeature) -> History:
    times = feature.times or f"{feature.name}_time"
    if feature.times is None and times in (*(c.name for c in schema.columns()), *schema.training_only):
        raise UsageError(
            f"schema {schema.name!r}: the name {times!r} is kept for the times of {feature.name!r}; set its times"
        )
    cells = {feature.name: str(schema.roles.item), times: str(schema.roles.time)}
    for side in feature.side_sequences:
        cells[side.name] = _event_column(feature, side.name)
    return History(feature, cells, times)


def _event_column(feature: SequenceFeature, side: str) -> str:
    prefix = f"{feature.name}_"
    if not side.startswith(prefix):
        raise UsageError(
            f"side sequence {side!r} of {feature.name!r} is to be made of earlier events, but its name does not say of "
            f"which column; name it {prefix}COLUMN"
        )
    return side[len(prefix) :]


def _check_reserved(schema: Schema) -> None:
    for name in (*(column.name for column in schema.columns()), *schema.training_only):
        if name in _RESERVED:
            raise UsageError(f"schema {schema.name!r}: the name {name!r} is kept for the prepared rows; choose another")


def _require(schema: Schema, names: Sequence[str], columns: Sequence[str], where: str) -> None:
    missing = [name for name in names if name not in columns]
    if missing:
        raise UsageError(
            f"{where}: column {missing[0]!r} is missing, which schema {schema.name!r} needs; its columns are "
            f"{', '.join(sorted(columns))}"
        )
