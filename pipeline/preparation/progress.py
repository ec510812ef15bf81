"""A bar for each stage of a long job."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def stage(console: Console, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows a bar while the block runs; yields a function that is told of progress."""
    columns = (TextColumn("{task.description:<18}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, advance=done)
        bar.update(task, completed=total)
