"""The rows of a part that are evaluated: positives to rank, and labelled rows to predict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Sequence

import numpy as np

from pipeline import rows as row_files
from pipeline.items import ItemTable
from pipeline.prepared import Part, Prepared
from pipeline.rows import Rows
from pipeline.schema import Column, Task
from signatures.errors import UsageError


@dataclass(frozen=True)
class Positives:
    """n rows whose item was liked, clicked or simply met."""

    rows: Rows
    """User and context columns."""
    users: np.ndarray
    """[n] raw ids."""
    items: np.ndarray
    """[n] int64 positions in the item table."""
    found: int
    """Positives in the part; more than n where their number is limited."""
    unknown_items: int
    """Left out because their item is not in the item table."""


def positives(prepared: Prepared, part: Part, items: ItemTable, limit: int) -> Positives:
    """At most `limit` positives of a part, evenly spaced in its order; needs a user and an item column.

    All rows are positives where the data holds events that happened; else those with label 1 of the first binary task.
    """
    roles, schema = prepared.schema.roles, prepared.schema
    index = _positive_index(prepared, part)
    chosen = evenly(index, limit)
    if roles.user is None or roles.item is None:
        raise UsageError(f"schema {schema.name!r} names no user and item columns; set roles.user and roles.item")
    columns = schema.columns("user") + schema.columns("context")
    found = read_at(prepared, part, chosen, columns, [roles.user, roles.item])
    place = items.index(found[roles.item])
    known = place >= 0
    if not known.any():
        raise UsageError(f"part {part!r} of {prepared.folder} has no positive row with a known item to evaluate on")
    return Positives(
        rows=row_files.take({c: found[c] for c in _names(columns)}, known),
        users=found[roles.user][known],
        items=place[known],
        found=len(index),
        unknown_items=int((~known).sum()),
    )


def labelled(prepared: Prepared, part: Part, tasks: Sequence[Task], limit: int) -> Rows:
    """At most `limit` rows of a part, evenly spaced: features, labels and masks of tasks, ids of user and item."""
    roles = prepared.schema.roles
    others = [name for task in tasks for name in (task.label, task.mask)] + [roles.user, roles.item]
    total = sum(group.rows for group in row_files.row_groups(prepared, part))
    return read_at(prepared, part, evenly(np.arange(total), limit), prepared.schema.columns(), _once(others))


def label_rate(prepared: Prepared, part: Part, task: Task) -> float:
    """Share of label 1 among the rows of a part that the task's mask lets count; NaN when there is none."""
    positive = counted = 0.0
    for group in row_files.row_groups(prepared, part):
        rows = row_files.read_groups([group], (), [name for name in (task.label, task.mask) if name])
        counts = np.ones(group.rows, bool) if task.mask is None else rows[task.mask] > 0
        positive += float((rows[task.label][counts] > 0).sum())
        counted += float(counts.sum())
    return positive / counted if counted else float("nan")


def read_at(
    prepared: Prepared, part: Part, index: np.ndarray, columns: Sequence[Column], others: Sequence[str]
) -> Rows:
    """The rows at these places of a part (increasing); only one row group is in memory besides."""
    pieces: List[Rows] = []
    start = 0
    for group in row_files.row_groups(prepared, part):
        own = index[(index >= start) & (index < start + group.rows)] - start
        start += group.rows
        if len(own):
            pieces.append(row_files.take(row_files.read_groups([group], columns, others), own))
    if not pieces:
        raise UsageError(f"part {part!r} of {prepared.folder} has no row to evaluate on; choose another split or part")
    return row_files.concatenate(pieces)


def evenly(index: np.ndarray, limit: int) -> np.ndarray:
    """All of it, or `limit` places at equal distances."""
    if len(index) <= limit:
        return index
    return index[np.linspace(0, len(index) - 1, limit).astype(np.int64)]


def _positive_index(prepared: Prepared, part: Part) -> np.ndarray:
    groups = row_files.row_groups(prepared, part)
    if prepared.facts.positives_only:
        return np.arange(sum(group.rows for group in groups))
    task = _first_binary(prepared)
    names = [name for name in (task.label, task.mask) if name]
    found = [np.logical_and.reduce([rows[n] > 0 for n in names]) for rows in _each(groups, names)]
    return np.flatnonzero(np.concatenate(found)) if found else np.zeros(0, np.int64)


def _each(groups: List[row_files.RowGroup], names: List[str]) -> List[Rows]:
    return [row_files.read_groups([group], (), names) for group in groups]


def _first_binary(prepared: Prepared) -> Task:
    for task in prepared.schema.tasks:
        if task.kind == "binary":
            return task
    raise UsageError(f"schema {prepared.schema.name!r} has no binary task, so no row is known to be a positive")


def _names(columns: Sequence[Column]) -> List[str]:
    return _once([name for column in columns for name in (column.name, column.length) if name])


def _once(names: Sequence[Optional[str]]) -> List[str]:
    return list(dict.fromkeys(name for name in names if name is not None))
