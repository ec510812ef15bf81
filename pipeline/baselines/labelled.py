"""What the baselines that learn from labelled rows share: their rows, and answers by a function of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, List, Mapping, Optional, Tuple

import numpy as np

from pipeline import items as item_files
from pipeline import rows as row_files
from pipeline.evaluation import rows as row_source
from pipeline.prepared import Part, Prepared
from pipeline.rows import Rows, count
from pipeline.schema import Task
from signatures.errors import UsageError

MAXIMUM_ROWS = 1_000_000
"""Of a part; of a longer one so many are read, evenly spaced."""
_PAIRS = 2**16
"""Pairs of user and item that are answered at once."""

Logits = Callable[[Rows], np.ndarray]
"""Rows to float [n]."""


@dataclass(frozen=True)
class Examples:
    """n rows of one part that count for one task."""

    rows: Rows
    labels: np.ndarray
    """[n] int8, 0 or 1."""
    weights: np.ndarray
    """[n] float32."""


def tasks(prepared: Prepared, baseline: str) -> Tuple[Task, ...]:
    """The binary tasks whose labels are in the rows. Raises UsageError where there is none."""
    binary = [task for task in prepared.schema.tasks if task.kind == "binary"]
    # Where every row is an event that happened, only a mask says that a task has rows of both classes.
    found = tuple(task for task in binary if not prepared.facts.positives_only or task.mask is not None)
    if not found:
        raise UsageError(
            f"{baseline} learns from labelled rows, and data set {prepared.facts.dataset!r} holds events only; "
            "choose another baseline"
        )
    return found


def read(prepared: Prepared, part: Part) -> Rows:
    """Features, labels, masks and weights of a part. Raises UsageError for a part without a row."""
    schema = prepared.schema
    stored = row_files.column_names(row_files.files(prepared, part)[0])
    others = [name for name in schema.training_only if name in stored]
    index = np.arange(sum(group.rows for group in row_files.row_groups(prepared, part)))
    return row_source.read_at(prepared, part, row_source.evenly(index, MAXIMUM_ROWS), schema.columns(), others)


def examples(rows: Rows, task: Task, part: Part) -> Examples:
    """The rows that count for a task. Raises UsageError where they are not of both classes in training."""
    chosen = np.arange(count(rows)) if task.mask is None else np.flatnonzero(rows[task.mask] > 0)
    labels = (rows[task.label][chosen] > 0).astype(np.int8)
    if part == "train" and not 0 < labels.sum() < len(labels):
        raise UsageError(f"label {task.label!r} is the same in all training rows that count; nothing can be learned")
    weights = np.ones(len(chosen), np.float32)
    if task.sample_weight is not None and task.sample_weight in rows:
        weights = rows[task.sample_weight][chosen]
    return Examples(row_files.take(rows, chosen), labels, weights)


class RowPredictor:
    """Answers each task by a function of whole rows; candidates become rows of their own."""

    probability = True

    def __init__(self, prepared: Prepared, functions: Mapping[str, Logits]) -> None:
        """functions: by task, the one that orders candidates first."""
        self._functions = dict(functions)
        schema = prepared.schema
        self._items: Optional[item_files.ItemTable] = item_files.load(prepared) if prepared.items.exists() else None
        own = [*schema.columns("user"), *schema.columns("context")]
        self._own = tuple(name for column in own for name in (column.name, column.length) if name is not None)

    def score(self, rows: Rows, positions: np.ndarray) -> np.ndarray:
        """float32 [n, N] logits of the first task."""
        first = next(iter(self._functions))
        return self._candidates(rows, positions, [first])[first]

    def logits(self, rows: Rows, positions: np.ndarray) -> Dict[str, np.ndarray]:
        """{task: float32 [n, N]}."""
        return self._candidates(rows, positions, list(self._functions))

    def predict(self, rows: Rows) -> Dict[str, np.ndarray]:
        """{task: float32 [n]}."""
        return {task: function(rows).astype(np.float32) for task, function in self._functions.items()}

    def _candidates(self, rows: Rows, positions: np.ndarray, names: List[str]) -> Dict[str, np.ndarray]:
        if self._items is None:
            raise UsageError("this data set has no item table, so nothing can be ranked; evaluate labelled rows")
        found = {name: np.empty(positions.shape, np.float32) for name in names}
        own = {name: rows[name] for name in self._own}
        step = max(1, _PAIRS // max(1, positions.shape[1]))
        for start in range(0, len(positions), step):
            wanted = positions[start : start + step]
            row = np.repeat(np.arange(start, start + len(wanted)), wanted.shape[1])
            tiled = {**row_files.take(own, row), **self._items.take(wanted.ravel())}
            for name in names:
                found[name][start : start + step] = self._functions[name](tiled).reshape(wanted.shape)
        return found
