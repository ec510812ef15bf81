"""All that is learned from rows while preparing; it is handed the folder of the training part, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.preparation import parts, statistics, vocabularies
from pipeline.preparation.layout import Layout
from pipeline.prepared import Statistics
from signatures.errors import UsageError


@dataclass(frozen=True)
class Learned:
    """Of one part's rows."""

    vocabularies: Dict[str, pa.Array]
    """By table: its raw ids, most frequent first, ties by value."""
    statistics: Dict[str, Statistics]
    """By numeric feature."""


def learn(folder: Path, layout: Layout, seed: int) -> Learned:
    """Vocabularies and statistics of the rows below `folder`, streamed."""
    minimum = vocabularies.minimum_counts(layout)
    counted = vocabularies.count(folder, layout)
    entries = {table: vocabularies.entries(counts, minimum[table]) for table, counts in counted.items()}
    return Learned(entries, statistics.learn(folder, layout.schema, seed))


def require_two_classes(folder: Path, layout: Layout) -> None:
    """Raises UsageError for a label of the table that is the same in every row of the part that counts."""
    for task in layout.schema.tasks:
        if task.kind != "binary" or task.label not in layout.given:
            continue
        low, high, rows = 1.0, 0.0, 0
        for batch in parts.read(folder, [name for name in (task.label, task.mask) if name is not None]):
            labels = batch.column(task.label)
            if task.mask is not None:
                labels = labels.filter(pc.greater(batch.column(task.mask), 0))
            if len(labels):
                extremes = pc.min_max(labels).as_py()
                low, high, rows = min(low, extremes["min"]), max(high, extremes["max"]), rows + len(labels)
        if rows and low == high:
            raise UsageError(
                f"label {task.label!r} is {low:g} in all {rows} training rows that count, so nothing can be learned; "
                "give rows of both classes, or another split"
            )
        if not rows:
            raise UsageError(f"label {task.label!r}: mask {task.mask!r} is 0 in all training rows; let some count")
