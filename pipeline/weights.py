"""How much a training row counts: class balance and recency, from one survey of the training part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence

import numpy as np

from pipeline import rows as row_files
from pipeline.models.specification import TrainingRows
from pipeline.plan import Plan
from pipeline.prepared import EVENT_TIME
from pipeline.rows import RowGroup, Rows
from pipeline.schema import Schema, Task
from signatures.errors import UsageError

SECONDS_PER_DAY = 86400.0


@dataclass(frozen=True)
class Survey:
    """Counts over all rows of a part."""

    negatives: int
    """Rows with label 0 of the first binary task, where its mask lets them count."""
    positives: int
    newest: int
    """Unix seconds of the newest event; 0 where times were not asked for."""


def survey(groups: Sequence[RowGroup], schema: Schema, names: Sequence[str]) -> Survey:
    """Reads these stored columns once, a row group at a time. UsageError for a label, mask or weight that is NaN."""
    task = binary_task(schema)
    classes, newest = np.zeros(2, np.int64), 0
    for group in groups:
        keys = row_files.read_groups([group], (), names)
        for name in schema.training_only:
            _check_numbers(name, keys)
        if task is not None:
            classes += [np.sum(counts(keys, task) & (keys[task.label] == label)) for label in (0, 1)]
        if EVENT_TIME in keys and len(keys[EVENT_TIME]):
            newest = max(newest, int(keys[EVENT_TIME].max()))
    return Survey(int(classes[0]), int(classes[1]), newest)


def binary_task(schema: Schema) -> Optional[Task]:
    """The first task with a label of 0 or 1: it says which rows are positive."""
    return next((task for task in schema.tasks if task.kind == "binary"), None)


def counts(keys: Rows, task: Task) -> np.ndarray:
    """bool [n]: the rows that count in this task."""
    return np.ones(row_files.count(keys), bool) if task.mask is None else keys[task.mask] == 1


def negative_weight(found: Survey, schema: Schema) -> float:
    """What a negative weighs for both classes to weigh the same. UsageError when there is one class only."""
    task = binary_task(schema)
    if task is not None and not (found.negatives and found.positives):
        raise UsageError(
            f"label {task.label!r} has {found.positives} positive and {found.negatives} negative rows in the training "
            "part; a model needs both, so choose another label or more data"
        )
    return found.positives / max(found.negatives, 1)


def recency(times: np.ndarray, newest: int, half_life_days: float) -> np.ndarray:
    """0.5 ** (age / half-life), float32 [n], of Unix seconds [n]; 1 for what is newer than the newest."""
    age_days = np.maximum(newest - times, 0) / SECONDS_PER_DAY
    return (0.5 ** (age_days / half_life_days)).astype(np.float32)


def check(schema: Schema, rows: TrainingRows, plan: Plan) -> None:
    """Raises UsageError for weights that would be asked for in vain."""
    asked = "class_balance" if plan.class_balance else "recency_half_life_days"
    if (plan.class_balance or plan.recency_half_life_days is not None) and not schema.sample_weights:
        raise UsageError(f"{asked} is set, but no task has a sample_weight; give a task one, or drop {asked}")
    if plan.class_balance and rows != "pointwise":
        raise UsageError(f"class_balance is set, but the model learns from {rows}, which have one class; drop it")
    if plan.recency_half_life_days is not None and schema.roles.time is None:
        raise UsageError("recency_half_life_days is set, but the schema names no time column; set roles.time")


def _check_numbers(name: str, keys: Rows) -> None:
    cells = keys.get(name)
    if cells is None:
        return
    if cells.dtype == object or not np.all(np.isfinite(cells)):
        raise UsageError(f"column {name!r} of the prepared data has a cell that is no number; fill or drop such rows")
