"""Parquet files as record batches; damaged ones are errors."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator, Sequence, Tuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.sources.source import BATCH_ROWS
from pipeline.sources.table_format import first_line
from signatures.errors import UsageError


def columns(path: Path) -> Tuple[str, ...]:
    """Names of the columns. Raises UsageError for a file that is cut off."""
    with _open(path) as file:
        return tuple(file.schema_arrow.names)


def batches(path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """These columns, batch by batch, in the types they have."""
    rows = 0
    with _open(path) as file:
        try:
            for batch in file.iter_batches(BATCH_ROWS, columns=list(names), use_threads=False):
                rows += batch.num_rows
                yield batch.select(list(names))
        except (pa.ArrowException, OSError) as error:
            raise UsageError(
                f"{path} cannot be read after row {rows} ({first_line(error)}); write or copy it again"
            ) from error


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{path} is no whole Parquet file ({first_line(error)}); write or copy it again") from error
