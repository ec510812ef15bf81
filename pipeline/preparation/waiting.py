"""Rows on their way to a row group: kept in memory where a group is soon full, on disk where it fills slowly."""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional, Protocol

import pyarrow as pa


class Waiting(Protocol):
    """Rows that are not yet a whole row group."""

    rows: int

    def add(self, table: pa.Table) -> None:
        """Behind the others."""

    def take(self) -> pa.Table:
        """All of them; none is left."""

    def close(self) -> None:
        """Gives up what it holds."""


class InMemory:
    """For the part that most rows belong to: it soon has a group."""

    def __init__(self, schema: pa.Schema) -> None:
        self.rows = 0
        self._schema = schema
        self._tables: List[pa.Table] = []

    def add(self, table: pa.Table) -> None:
        self._tables.append(table)
        self.rows += table.num_rows

    def take(self) -> pa.Table:
        found = pa.concat_tables(self._tables) if self._tables else self._schema.empty_table()
        self.close()
        return found

    def close(self) -> None:
        self._tables, self.rows = [], 0


class OnDisk:
    """For a part that fills slowly: in memory, its group would grow with the data until it is full."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.rows = 0
        self._path, self._schema = path, schema
        self._file: Optional[pa.ipc.RecordBatchStreamWriter] = None

    def add(self, table: pa.Table) -> None:
        if self._file is None:
            self._file = pa.ipc.new_stream(str(self._path), self._schema)
        self._file.write_table(table)
        self.rows += table.num_rows

    def take(self) -> pa.Table:
        if self._file is None:
            return self._schema.empty_table()
        self.close()
        with pa.OSFile(str(self._path)) as file:
            found = pa.ipc.open_stream(file).read_all()
        self._path.unlink()
        return found

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self.rows = None, 0
