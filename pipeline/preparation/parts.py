"""Prepared rows to Parquet: files of a part, each of many row groups, without ever holding more than one group."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Optional, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.preparation.waiting import InMemory, OnDisk, Waiting

GROUP_ROWS = 65_536
FILE_ROWS = 16 * GROUP_ROWS


class PartWriter:
    """Writes part-00000.parquet, part-00001.parquet, … below a folder; at least one, so that a part can be read."""

    def __init__(self, folder: Path, schema: pa.Schema, times: Sequence[str], waiting: Waiting) -> None:
        self.rows = 0
        self._folder, self._schema, self._times, self._waiting = folder, schema, times, waiting
        self._files = 0
        self._file: Optional[pq.ParquetWriter] = None
        self._file_rows = 0

    def write(self, table: pa.Table) -> None:
        """Adds rows; they reach their file by whole row groups."""
        while table.num_rows:
            piece = table.slice(0, GROUP_ROWS - self._waiting.rows)
            table = table.slice(piece.num_rows)
            self._waiting.add(piece)
            if self._waiting.rows == GROUP_ROWS:
                self._flush()

    def close(self) -> None:
        """Writes what is left."""
        if self._waiting.rows or not self._files:
            self._flush()
        self.abandon()

    def abandon(self) -> None:
        """Closes the files; rows that wait are lost."""
        self._waiting.close()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _flush(self) -> None:
        if self._file is None:
            self._file = _open(self._folder / f"part-{self._files:05d}.parquet", self._schema, self._times)
            self._files += 1
            self._file_rows = 0
        table = self._waiting.take()
        self._file.write_table(table, row_group_size=GROUP_ROWS)
        self.rows += table.num_rows
        self._file_rows += table.num_rows
        if self._file_rows >= FILE_ROWS:
            self._file.close()
            self._file = None


@contextmanager
def writing(folder: Path, schema: pa.Schema, times: Sequence[str], many: bool) -> Iterator[PartWriter]:
    """A writer below the new folder, closed in the end. times: list columns of times. many: most rows are its."""
    folder.mkdir(parents=True)
    waiting = InMemory(schema) if many else OnDisk(folder.parent / f"{folder.name}-waiting.arrow", schema)
    writer = PartWriter(folder, schema, times, waiting)
    try:
        yield writer
        writer.close()
    finally:
        writer.abandon()


@contextmanager
def writing_file(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """One file, written table by table."""
    with _open(path, schema, ()) as file:
        yield file


def read(folder: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """These columns of all rows below a part's folder, row group by row group."""
    for path in sorted(folder.glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=list(names), use_threads=False)
                yield from table.combine_chunks().to_batches()


def write_table(table: pa.Table, path: Path) -> None:
    """One file at once."""
    with _open(path, table.schema, ()) as file:
        file.write_table(table, row_group_size=GROUP_ROWS)


def _open(path: Path, schema: pa.Schema, times: Sequence[str]) -> pq.ParquetWriter:
    # Lists of times hardly repeat within a row but overlap with the row before: a dictionary only costs time there.
    plain = {f"{name}.list.element" for name in times}
    dictionary = [leaf for leaf in _leaves(schema) if leaf not in plain]
    return pq.ParquetWriter(str(path), schema, compression="zstd", compression_level=1, use_dictionary=dictionary)


def _leaves(schema: pa.Schema) -> List[str]:
    return [f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name for field in schema]
