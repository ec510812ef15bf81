"""What every source hands to `prepare`: raw rows in record batches, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Iterator, Optional, Tuple

import pyarrow as pa

from pipeline.preparation.splits import Kind
from pipeline.schema import Schema

BATCH_ROWS = 65_536
"""Rows a source reads or makes at once."""


@dataclass(frozen=True)
class Source:
    """Raw data of one data set, not read yet.

    Columns of `batches`, `users` and `items` have the types of `layout.raw_types`: ids int64 (missing is -1)
    or string (missing is ""), numbers float32 (missing is NaN), lists of these, without nulls.
    """

    dataset: str
    synthetic: bool
    schema: Schema
    digest: str
    """Of the raw content: another digest, other rows."""
    rows: int
    """How many rows `batches` yields, or a good guess: for the progress bar and the number of shards."""
    columns: Tuple[str, ...]
    """Of each batch."""
    batches: Callable[[], Iterator[pa.RecordBatch]]
    """Starts from the first row at each call. Raises UsageError naming file, row and column."""
    users: Optional[pa.Table] = None
    """User-side columns by the user column, where they are kept apart from the rows; each id once."""
    items: Optional[pa.Table] = None
    """Item-side columns and `title` by the item column, likewise."""
    split: Optional[Kind] = None
    """How this data set is split unless a person says otherwise; None for what its columns suggest."""
    held_out: int = 0
    """How many of the last rows its publisher set aside for testing: the test part where the split is `published`."""
