"""MovieLens 100K with real labels: every rating is a row, and whether the film was liked is what is asked.

Nothing is ranked here: a film that nobody rated is no film that nobody liked, so no negative is drawn and the schema
names no item role. The features are those of the protocol for which figures of logistic regression are known: who,
which film, of which genres. What else ml-100k knows (age, occupation, hour, year) made that model worse on later rows:
AUC 0.700 instead of 0.715 with the split by time. A history would, with a random split, show a training row the rating
that a test row asks for.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.schema import Schema, parse
from pipeline.sources import movielens
from pipeline.sources.movielens_schema import FEATURES
from pipeline.sources.source import Source
from signatures.errors import UsageError

NAME = "ml-100k-labels"
ORIGINAL = "ml-100k"
"""Whose files are read."""

LOVED = 5
"""Ratings from here on are loved."""
_LOVED_COLUMN = "loved"
_FILM = ("genres",)
_FEATURES = ("user_id", "item_id", *_FILM)


def read(folder: Path) -> Source:
    """The data set from the files of ml-100k. Raises UsageError naming file and line."""
    source = movielens.read(ORIGINAL, folder)
    return replace(
        source,
        dataset=NAME,
        schema=schema(),
        columns=(*source.columns, *_FILM, _LOVED_COLUMN),
        batches=functools.partial(_labelled, source),
        items=None,
    )


def schema() -> Schema:
    """Tasks `like` (rating of 4 or 5) and `loved` (5)."""
    content: Dict[str, Any] = {
        "name": NAME,
        "features": [feature for feature in FEATURES if feature["name"] in _FEATURES],
        "labels": [{"name": "like"}, {"name": _LOVED_COLUMN}],
        "tasks": [{"name": task, "label": task} for task in ("like", _LOVED_COLUMN)],
        "roles": {"user": "user_id", "time": "timestamp"},
    }
    return parse(content, f"schema of {NAME}")


def _labelled(original: Source) -> Iterator[pa.RecordBatch]:
    films = original.items
    assert films is not None
    for batch in original.batches():
        place = pc.index_in(batch.column("item_id"), value_set=films["item_id"].combine_chunks())
        if place.null_count:
            stranger = batch.column("item_id").filter(pc.is_null(place))[0].as_py()
            raise UsageError(f"{ORIGINAL}: film {stranger} is rated but not in u.item; fetch the data set again")
        about = [films[name].combine_chunks().take(place) for name in _FILM]
        loved = pc.cast(pc.greater_equal(batch.column("rating"), LOVED), pa.float32())
        yield pa.record_batch([*batch.columns, *about, loved], names=[*batch.schema.names, *_FILM, _LOVED_COLUMN])
