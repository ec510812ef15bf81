"""Prepared rows to Parquet: files of a part, each of many row groups, without ever holding more than one group."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Optional, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

GROUP_ROWS = 65_536
FILE_ROWS = 16 * GROUP_ROWS


class PartWriter:
    """Writes part-00000.parquet, part-00001.parquet, … below a folder; at least one, so that a part can be read."""

    def __init__(self, folder: Path, schema: pa.Schema, times: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True)
        self.rows = 0
        self._folder, self._schema, self._times = folder, schema, times
        self._buffer: List[pa.Table] = []
        self._buffered = 0
        self._files = 0
        self._file: Optional[pq.ParquetWriter] = None
        self._file_rows = 0

    def write(self, table: pa.Table) -> None:
        """Adds rows; they reach the disk by whole row groups."""
        while table.num_rows:
            piece = table.slice(0, GROUP_ROWS - self._buffered)
            table = table.slice(piece.num_rows)
            self._buffer.append(piece)
            self._buffered += piece.num_rows
            if self._buffered == GROUP_ROWS:
                self._flush()

    def close(self) -> None:
        """Writes what is left."""
        if self._buffered or not self._files:
            self._flush()
        self.abandon()

    def abandon(self) -> None:
        """Closes the file; rows in memory are lost."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _flush(self) -> None:
        if self._file is None:
            path = self._folder / f"part-{self._files:05d}.parquet"
            self._file = _open(path, self._schema, self._times)
            self._files += 1
            self._file_rows = 0
        table = pa.concat_tables(self._buffer) if self._buffer else self._schema.empty_table()
        self._file.write_table(table, row_group_size=GROUP_ROWS)
        self.rows += self._buffered
        self._file_rows += self._buffered
        self._buffer, self._buffered = [], 0
        if self._file_rows >= FILE_ROWS:
            self.abandon()


@contextmanager
def writing(folder: Path, schema: pa.Schema, times: Sequence[str]) -> Iterator[PartWriter]:
    """A writer below the folder, closed in the end. times: list columns of times."""
    writer = PartWriter(folder, schema, times)
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
