"""Raw rows on disk in shards small enough for memory: by user where a user's rows must meet, else in their order."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Tuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.source import Source
from signatures.errors import UsageError

SHARD_ROWS = 250_000
"""Rows of a shard, on average."""
MAXIMUM_SHARDS = 512
"""Files open at once."""
POSITION = "position in the table"
"""Column of a shard: the row's place among all rows, int64. No column of a person is called so."""


@dataclass(frozen=True)
class Spool:
    """All raw rows, in shards. A user is in one shard if `by` says so, and there rows keep their order."""

    shards: Tuple[Path, ...]
    rows: int

    @property
    def schema(self) -> pa.Schema:
        """Columns of each shard."""
        with pa.memory_map(str(self.shards[0])) as file:
            return pa.ipc.open_file(file).schema

    def read(self, shard: Path) -> pa.Table:
        """One shard, mapped into memory."""
        with pa.memory_map(str(shard)) as file:
            return pa.ipc.open_file(file).read_all()

    def batches(self, column: str) -> Iterator[np.ndarray]:
        """One column of all rows, batch by batch."""
        for shard in self.shards:
            with pa.memory_map(str(shard)) as file:
                reader = pa.ipc.open_file(file)
                for index in range(reader.num_record_batches):
                    yield reader.get_batch(index).column(column).to_numpy()


def write(source: Source, folder: Path, by: Optional[str], advance: Callable[[int], None]) -> Spool:
    """Writes the source's rows below `folder`, sharded by column `by`, or in their order for None.

    advance: told of the number of rows after each batch. Raises UsageError when there is no row.
    """
    folder.mkdir()
    shards = min(max(-(-source.rows // SHARD_ROWS), 1), MAXIMUM_SHARDS)
    writers = _Writers(folder)
    rows = 0
    try:
        for batch in source.batches():
            positions = pa.array(np.arange(rows, rows + batch.num_rows))
            numbered = pa.record_batch([*batch.columns, positions], names=[*batch.schema.names, POSITION])
            if by is None:
                # Later shards hold what came later, however wrong the guess of the number of rows.
                writers.write(rows // SHARD_ROWS, numbered)
            else:
                _scatter(numbered, _shard_of(batch.column(by), shards), writers)
            rows += batch.num_rows
            advance(batch.num_rows)
    finally:
        writers.close()
    if not rows:
        raise UsageError(f"data set {source.dataset!r} has no row; give a table with at least one")
    return Spool(writers.paths, rows)


class _Writers:
    """Arrow files by shard, opened when their first rows come."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: Dict[int, pa.ipc.RecordBatchFileWriter] = {}

    @property
    def paths(self) -> Tuple[Path, ...]:
        return tuple(self._path(shard) for shard in sorted(self._open))

    def _path(self, shard: int) -> Path:
        return self._folder / f"shard-{shard:05d}.arrow"

    def write(self, shard: int, batch: pa.RecordBatch) -> None:
        if shard not in self._open:
            self._open[shard] = pa.ipc.new_file(str(self._path(shard)), batch.schema)
        self._open[shard].write_batch(batch)

    def close(self) -> None:
        for writer in self._open.values():
            writer.close()


def _scatter(batch: pa.RecordBatch, shard: np.ndarray, writers: _Writers) -> None:
    order = np.argsort(shard, kind="stable")
    ends = np.cumsum(np.bincount(shard))
    sorted_batch = batch.take(pa.array(order))
    start = 0
    for index, end in enumerate(ends.tolist()):
        if end > start:
            writers.write(index, sorted_batch.slice(start, end - start))
        start = end


def _shard_of(ids: pa.Array, shards: int) -> np.ndarray:
    """The shard of each id, int64 [n]: the same for the same id on every machine."""
    if pa.types.is_integer(ids.type):
        # Fibonacci hashing: neighbouring ids spread, where a plain remainder would follow any pattern in them.
        mixed = ids.to_numpy().astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return ((mixed >> np.uint64(33)) % np.uint64(shards)).astype(np.int64)
    known = pc.dictionary_encode(ids)
    hashes: List[int] = [zlib.crc32(text.encode()) % shards for text in known.dictionary.to_pylist()]
    return np.asarray(hashes, np.int64)[known.indices.to_numpy()]
