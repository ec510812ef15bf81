"""Bring your own: a CSV, Parquet or JSON lines table, or a folder of them, and a schema that says what it means."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

import pyarrow as pa

from pipeline.preparation import layout as layouts
from pipeline.preparation.layout import Layout
from pipeline.schema import Schema
from pipeline.sources import csv_table, json_table, parquet_table
from pipeline.sources.source import Source
from pipeline.sources.table_format import KINDS, Format
from pipeline.sources.table_rows import Checker
from signatures.errors import UsageError

_BYTES_A_ROW = 64
"""A guess for Parquet files, which are not counted by lines."""


@dataclass(frozen=True)
class _File:
    path: Path
    columns: Tuple[str, ...]


def read(table: Path, schema: Schema, form: Format) -> Source:
    """The rows of a file, or of all files of a folder in the order of their names.

    Raises UsageError naming file, row and column for what is missing, empty, damaged or of another type.
    """
    files = [_File(path, _columns(path, form)) for path in _files(table)]
    for file in files[1:]:
        if sorted(file.columns) != sorted(files[0].columns):
            odd = sorted(set(file.columns) ^ set(files[0].columns))[0]
            raise UsageError(
                f"column {odd!r} is not in both {files[0].path} and {file.path}; give all files the same columns"
            )
    layout = layouts.plan(schema, files[0].columns, str(files[0].path))
    digest, rows = _digest([file.path for file in files])
    return Source(
        dataset=schema.name,
        synthetic=False,
        schema=schema,
        digest=digest,
        rows=rows,
        columns=files[0].columns,
        batches=functools.partial(_batches, files, layout, form),
    )


def _files(table: Path) -> List[Path]:
    if table.is_dir():
        files = sorted(path for path in table.iterdir() if path.suffix.lower() in KINDS and path.is_file())
        if not files:
            raise UsageError(f"folder {table} holds no table; its files must end in {', '.join(KINDS)}")
    else:
        files = [table]
    for path in files:
        if not path.is_file():
            raise UsageError(f"table {path} does not exist; give a file or a folder of files")
        if path.suffix.lower() not in KINDS:
            raise UsageError(f"table {path} is of no known kind; its name must end in {', '.join(KINDS)}")
        if path.stat().st_size == 0:
            raise UsageError(f"{path} is empty; give a table with at least one row")
    return files


def _columns(path: Path, form: Format) -> Tuple[str, ...]:
    kind = KINDS[path.suffix.lower()]
    if kind == "csv":
        return csv_table.columns(path, form)
    return parquet_table.columns(path) if kind == "parquet" else json_table.columns(path)


def _batches(files: List[_File], layout: Layout, form: Format) -> Iterator[pa.RecordBatch]:
    kept: Optional[pa.Schema] = None
    for file in files:
        checker = Checker(file.path, layout, form.list_separator)
        for raw in _raw(file.path, layout, form):
            if raw.num_rows:
                batch = checker.convert(raw)
                kept = kept or batch.schema
                checker.same_types(batch.schema, kept)
                yield batch


def _raw(path: Path, layout: Layout, form: Format) -> Iterator[pa.RecordBatch]:
    kind = KINDS[path.suffix.lower()]
    if kind == "csv":
        return csv_table.batches(path, layout.given, form)
    if kind == "parquet":
        return parquet_table.batches(path, layout.given)
    types: Dict[str, pa.DataType] = dict(layouts.raw_types(layout.schema, layout.histories))
    if layout.schema.roles.time not in layout.schema.feature_names:
        types.pop(str(layout.schema.roles.time), None)
    return json_table.batches(path, layout.given, types)


def _digest(paths: List[Path]) -> Tuple[str, int]:
    """Of the content, and about how many rows there are."""
    digest, rows = hashlib.sha256(), 0
    for path in paths:
        lines, size = 0, 0
        digest.update(f"{path.name}\n".encode())
        with path.open("rb") as file:
            for block in iter(functools.partial(file.read, 1 << 20), b""):
                digest.update(block)
                lines, size = lines + block.count(b"\n"), size + len(block)
        rows += size // _BYTES_A_ROW if KINDS[path.suffix.lower()] == "parquet" else lines
    return digest.hexdigest(), max(rows, 1)
