"""What `signet similar` does: the vectors of a trained model, the nearest of each, one Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Iterable, Optional

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import track

from pipeline import inference, verbs
from pipeline import items as item_files
from pipeline.items import ItemTable
from pipeline.places import Places
from pipeline.retrieval import neighbours
from pipeline.retrieval.neighbours import Neighbours, Way
from signatures.errors import UsageError
from signatures.files import check_outputs, write_whole


def run(places: Places, model: str, dataset: Optional[str], output: Path, count: int, index: str) -> None:
    """Writes the file whole or not at all. Raises UsageError for a choice there is not, or a model without vectors."""
    check_outputs([output], (".parquet",))
    console = Console(stderr=True)
    prepared = places.prepared(dataset, console)
    built = verbs.restore(places, prepared, model)
    if "item_embedding" not in built.spec.signatures:
        raise UsageError(f"{model} makes no vectors of items; name one that does, such as two_tower")
    items = item_files.load(prepared)
    way = chosen(index, len(items.ids))

    def progress(starts: Iterable[int]) -> Iterable[int]:
        return track(starts, "searching", console=console, transient=True)

    found = neighbours.neighbours(inference.item_vectors(built, items), count, way, progress)
    content = pa.BufferOutputStream()
    pq.write_table(table(items, found), content)
    write_whole(output, content.getvalue().to_pybytes(), "choose another --output")
    console.print(f"written: {output}; {way} search, recall@{count} {found.recall:.4f}")


def chosen(index: str, items: int) -> Way:
    """The way that an option names. Raises UsageError for one that there is not."""
    if index == "auto":
        return "exact" if items <= neighbours.EXACT_ITEMS else "scann"
    if index == "exact":
        return "exact"
    if index == "scann":
        return "scann"
    raise UsageError(f"index is {index!r}; choose auto, exact or scann")


def table(items: ItemTable, found: Neighbours) -> pa.Table:
    """One row for each pair, in the order of the items and then of the places, which count from 1."""
    rows, columns = np.nonzero(found.positions >= 0)
    return pa.table(
        {
            "item": items.ids[rows],
            "place": (columns + 1).astype(np.int32),
            "similar": items.ids[found.positions[rows, columns]],
            "cosine": found.cosines[rows, columns],
        }
    )
