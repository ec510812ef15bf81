"""The tasks of a run, as a model wants them."""

from __future__ import annotations

from typing import Tuple

from pipeline.schema import Task
from signatures.errors import UsageError


def only(tasks: Tuple[Task, ...], model: str) -> Task:
    """The task of a model that learns one. Raises UsageError when there are several."""
    if len(tasks) != 1:
        names = [task.name for task in tasks]
        raise UsageError(f"model {model!r} learns one task, but tasks are {names}; name one of them, or use model mmoe")
    return tasks[0]
