"""CSV files as record batches of text: the cells are converted later, where an error can say which row it is in."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Iterator, List, Sequence, Tuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from pipeline.sources.table_format import Format, first_line
from signatures.errors import UsageError

_BLOCK_BYTES = 1 << 20
"""Read at once; dozens of blocks are read ahead."""


def columns(path: Path, form: Format) -> Tuple[str, ...]:
    """Names of the columns, trimmed. Raises UsageError for names that are absent or not distinct."""
    if form.header is not None:
        return form.header
    with path.open("rb") as file:
        line = file.readline()
    try:
        text = line.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 ({error.reason} in its first line); save it as UTF-8") from error
    names = tuple(name.strip() for name in next(csv.reader([text], delimiter=form.between(path)), []))
    for name in names:
        if not name or names.count(name) > 1:
            what = f"two columns named {name!r}" if name else "a column without a name"
            raise UsageError(f"{path} has {what} in its first line; rename it, or give the header if the file has none")
    return names


def batches(path: Path, names: Sequence[str], form: Format) -> Iterator[pa.RecordBatch]:
    """These columns as text, trimmed, batch by batch; missing ones are null. UsageError for a line of another width."""
    bad_rows: List[Any] = []
    rows = 0
    try:
        with _open(path, names, form, bad_rows) as reader:
            for batch in reader:
                rows += batch.num_rows
                yield _trimmed(batch, form)
    except pa.ArrowInvalid as error:
        raise _bad(path, bad_rows, rows, error) from error


def _open(path: Path, names: Sequence[str], form: Format, bad_rows: List[Any]) -> pa.csv.CSVStreamingReader:
    def remember(row: Any) -> str:
        bad_rows.append(row)
        return "error"

    read = pa.csv.ReadOptions(
        column_names=list(columns(path, form)),
        skip_rows=0 if form.header else 1,
        block_size=_BLOCK_BYTES,
        use_threads=False,
    )
    parse = pa.csv.ParseOptions(delimiter=form.between(path), newlines_in_values=True, invalid_row_handler=remember)
    to_text = pa.csv.ConvertOptions(
        include_columns=list(names),
        column_types={name: pa.string() for name in names},
    )
    return pa.csv.open_csv(path, read_options=read, parse_options=parse, convert_options=to_text)


def _trimmed(batch: pa.RecordBatch, form: Format) -> pa.RecordBatch:
    """Without the spaces around the cells, which are not part of them, and with null for those that are missing."""
    missing = pa.array(form.missing, pa.string())
    columns = [pc.utf8_trim_whitespace(column) for column in batch.columns]
    columns = [pc.if_else(pc.is_in(cells, missing), pa.scalar(None, pa.string()), cells) for cells in columns]
    return pa.record_batch(columns, names=batch.schema.names)


def _bad(path: Path, bad_rows: List[Any], rows: int, error: Exception) -> UsageError:
    if bad_rows:
        bad = bad_rows[0]
        where = f"after row {rows}" if bad.number is None else f"line {bad.number}"
        return UsageError(
            f"{path} {where} has {bad.actual_columns} cells instead of {bad.expected_columns} ({bad.text[:40]!r}); "
            "quote cells that contain the separator"
        )
    if "Empty CSV" in str(error):
        return UsageError(f"{path} has no row below its header; give a table with at least one row")
    return UsageError(f"{path} cannot be read after row {rows} ({first_line(error)}); save it as CSV in UTF-8")
