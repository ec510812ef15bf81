"""A prepared data set on disk: what `signet prepare` writes and everything later reads.

    FOLDER/schema.yaml  facts.json  vocabularies/TABLE.txt
           train/*.parquet  validation/*.parquet  test/*.parquet     one example a row, raw columns
           items.parquet    one row per item: the item side's columns, `train_count`, and `title` where known
           users.parquet    one row per user: the user side's columns as of after the last event

A row of a part holds the raw columns of every feature (lists as Parquet lists), the labels, masks and sample weights,
and the bookkeeping columns below, which are never features. `facts.json` is written last.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Literal, Optional, Tuple

import pydantic

from pipeline.schema import Schema
from pipeline.schema import load as load_schema
from signatures.errors import UsageError

Part = Literal["train", "validation", "test"]

EVENT_TIME = "event_time"
"""Unix seconds of the row, int64; 0 where the data has no time."""
NEWER = "newer_events"
"""int32: how many of the user's training rows that happened come after the row; -1 where no window can end with it."""
TRAIN_COUNT = "train_count"
"""In items.parquet, int64: the item's events in the training part."""
TITLE = "title"
"""In items.parquet, string: what a person calls the item; empty where unknown."""


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Statistics(_Part):
    """Of one numeric feature over the training part, after clipping, and after log1p where the transform has it."""

    mean: float
    deviation: float
    boundaries: Optional[Tuple[float, ...]] = None
    """Learned quantiles, increasing; None unless the feature asks for them."""


class Facts(_Part):
    """What was learned while preparing."""

    dataset: str
    synthetic: bool
    fingerprint: str
    """Digest of the raw content, the schema and the options: equal means that nothing changed."""
    rows: Dict[str, int]
    """By part."""
    vocabulary_sizes: Dict[str, int]
    """Entries of each vocabulary, by table; its embedding table has two rows more."""
    statistics: Dict[str, Statistics]
    positives_only: bool
    """The rows are events that happened, so training and evaluation draw their own negatives."""


@dataclass(frozen=True)
class Prepared:
    """A prepared folder."""

    folder: Path
    schema: Schema
    facts: Facts

    def part(self, part: Part) -> Path:
        return self.folder / part

    @property
    def items(self) -> Path:
        return self.folder / "items.parquet"

    @property
    def users(self) -> Path:
        return self.folder / "users.parquet"

    def vocabulary(self, table: str) -> Path:
        """One raw id a line, most frequent first, ties by value."""
        return self.folder / "vocabularies" / f"{table}.txt"


def load(folder: Path) -> Prepared:
    """Reads a prepared folder. Raises UsageError when it is absent or not whole."""
    facts = folder / "facts.json"
    if not facts.is_file():
        raise UsageError(
            f"data folder {folder} holds no prepared data set (facts.json is missing); run: signet prepare"
        )
    try:
        found = Facts.model_validate_json(facts.read_bytes())
    except pydantic.ValidationError as error:
        raise UsageError(f"{facts} cannot be understood; run signet prepare again") from error
    return Prepared(folder, load_schema(folder / "schema.yaml"), found)
