"""The proof that nothing of the future is in a prepared folder, on the rows as they were written.

Nothing here trusts how they were made: rows are read back, batch by batch, and what was learned is learned again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import prepared
from pipeline.preparation import entities, parts
from pipeline.preparation.learning import learn
from pipeline.preparation.options import Plan
from pipeline.preparation.splits import PARTS
from pipeline.prepared import EVENT_TIME, TRAIN_COUNT, Prepared
from pipeline.schema import Sequence
from signatures.errors import UsageError


def verify(work: Path, plan: Plan) -> None:
    """Raises UsageError saying what of the folder knows of the future."""
    found = prepared.load(work)
    _verify_order(_verify_parts(found, plan), plan)
    _verify_learned(found, plan)
    _verify_counts(found, plan)


def histories_are_past(
    cells: pa.ListArray, times: pa.ListArray, items: pa.Array, row_times: np.ndarray
) -> Tuple[np.ndarray, str]:
    """Rows whose history is not of the past, bool [n], and why for the first of them; "" where there is none.

    cells, times: lists [n] in step. items [n], row_times int64 [n]: of the rows themselves. A history is of the past
    when no cell is later than its row, cells are oldest first, and none of them is the row's own event.
    """
    lengths = pc.list_value_length(times).to_numpy(zero_copy_only=False)
    row = np.repeat(np.arange(len(lengths)), lengths)
    flat = times.flatten().to_numpy()
    late = flat > row_times[row]
    disordered = np.concatenate([[False], (flat[1:] < flat[:-1]) & (row[1:] == row[:-1])])[: len(flat)]
    own = flat == row_times[row]
    at = np.flatnonzero(own)  # few: comparing all cells' items would take longer than all the rest
    same = pc.equal(cells.flatten().take(pa.array(at)), items.take(pa.array(row[at])))
    own[at] = pc.fill_null(same, False).to_numpy(zero_copy_only=False)
    for wrong, why in (
        (late, "shows an event later than the row"),
        (own, "shows the row's own event"),
        (disordered, "is not oldest first"),
    ):
        if wrong.any():
            return np.bincount(row[wrong], minlength=len(lengths)) > 0, why
    return np.zeros(len(lengths), bool), ""


def _verify_parts(found: Prepared, plan: Plan) -> Dict[str, Tuple[int, int]]:
    """Checks the histories of all parts; returns the range of times of each part that has rows."""
    sequences = _timed(plan)
    item = plan.layout.schema.roles.item
    names = [EVENT_TIME] + [name for pair in sequences for name in pair] + ([item] if item and sequences else [])
    ranges: Dict[str, Tuple[int, int]] = {}
    for part in PARTS:
        rows = 0
        for batch in parts.read(found.part(part), list(dict.fromkeys(names))):
            times = batch.column(EVENT_TIME).to_numpy()
            for cells, cell_times in sequences:
                _verify_histories(batch, cells, cell_times, str(item), times, f"{part} row", rows)
            low, high = ranges.get(part, (times[0], times[0]))
            ranges[part] = (min(low, times.min()), max(high, times.max()))
            rows += batch.num_rows
        if rows != found.facts.rows[part]:
            raise UsageError(
                f"prepared data refused: {part} has {rows} rows and facts.json says {found.facts.rows[part]}"
            )
    return ranges


def _timed(plan: Plan) -> List[Tuple[str, str]]:
    """Columns of the cells and of the times of each sequence whose times are known."""
    made = {history.feature.name: history.times for history in plan.layout.histories}
    if plan.layout.schema.roles.time is None:
        return []
    sequences = [feature for feature in plan.layout.schema.features if isinstance(feature, Sequence)]
    timed = [(f.name, made.get(f.name) or f.times) for f in sequences]
    return [(name, times) for name, times in timed if times is not None]


def _verify_histories(
    batch: pa.RecordBatch, cells: str, times: str, item: str, row_times: np.ndarray, what: str, rows: int
) -> None:
    items = batch.column(item) if item in batch.schema.names else pa.nulls(batch.num_rows, pa.int64())
    wrong, why = histories_are_past(batch.column(cells), batch.column(times), items, row_times)
    if why:
        index = int(np.flatnonzero(wrong)[0])
        raise UsageError(
            f"prepared data refused: {what} {rows + index + 1}, at time {row_times[index]}: {cells!r} {why} "
            f"(times {batch.column(times)[index].as_py()[-3:]}); give only what was known before the row"
        )


def _verify_order(ranges: Dict[str, Tuple[int, int]], plan: Plan) -> None:
    if plan.split != "time":
        return
    present = [part for part in PARTS if part in ranges]
    for earlier, later in zip(present, present[1:]):
        if ranges[earlier][1] >= ranges[later][0]:
            raise UsageError(
                f"prepared data refused: {earlier} goes up to time {ranges[earlier][1]} and {later} begins at "
                f"{ranges[later][0]}, but the split is by time"
            )


def _verify_learned(found: Prepared, plan: Plan) -> None:
    learned = learn(found.part("train"), plan.layout, plan.options.seed)
    for table, entries in learned.vocabularies.items():
        written = found.vocabulary(table).read_bytes().decode().split("\n")[:-1]
        if written != [str(entry) for entry in entries.to_pylist()]:
            raise UsageError(f"prepared data refused: vocabulary {table!r} is not that of the training part")
        if found.facts.vocabulary_sizes.get(table) != len(entries):
            raise UsageError(f"prepared data refused: facts.json has a wrong size of vocabulary {table!r}")
    for name, statistics in learned.statistics.items():
        if found.facts.statistics.get(name) != statistics:
            raise UsageError(f"prepared data refused: the statistics of {name!r} are not those of the training part")


def _verify_counts(found: Prepared, plan: Plan) -> None:
    item = plan.layout.schema.roles.item
    if item is None:
        return
    table = pq.read_table(found.items, columns=[item, TRAIN_COUNT])
    if not table[TRAIN_COUNT].combine_chunks().equals(entities.counts(found.part("train"), plan.layout, table[item])):
        raise UsageError(f"prepared data refused: {TRAIN_COUNT} of the items is not that of the training part")
