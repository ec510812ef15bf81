"""MovieLens 100K and 1M in their official layouts: ml-100k's u.data, u.user, u.item; ml-1m's *.dat. All Latin-1."""

from __future__ import annotations

import functools
import hashlib
import io
from pathlib import Path
from typing import Callable, Iterator, List, Tuple

import pyarrow as pa
from pyarrow import csv

from pipeline.sources import movie_events
from pipeline.sources.movielens_schema import schema
from pipeline.sources.movielens_tables import items_1m, items_100k, users_1m, users_100k
from pipeline.sources.source import BATCH_ROWS, Source
from signatures.errors import UsageError

FILES = {"ml-100k": ("u.data", "u.user", "u.item"), "ml-1m": ("ratings.dat", "users.dat", "movies.dat")}


def read(dataset: str, folder: Path) -> Source:
    """The data set `ml-100k` or `ml-1m` of this folder. Raises UsageError naming file and line."""
    paths = [folder / name for name in FILES[dataset]]
    for path in paths:
        if not path.is_file():
            raise UsageError(f"{dataset}: file {path} is missing; put the unpacked official archive there")
    ratings, users, items = paths
    digest, lines = _digest(paths), _count_lines(ratings)
    if not lines:
        raise UsageError(f"{dataset}: file {ratings} is empty; put the unpacked official archive there")
    user_table, item_table = _readers(dataset)
    return Source(
        dataset=dataset,
        synthetic=False,
        schema=schema(dataset),
        digest=digest,
        rows=lines,
        columns=movie_events.COLUMNS,
        batches=functools.partial(_batches, ratings, b"\t" if dataset == "ml-100k" else b"::"),
        users=user_table(users),
        items=item_table(items),
    )


def _readers(dataset: str) -> Tuple[Callable[[Path], pa.Table], Callable[[Path], pa.Table]]:
    if dataset == "ml-100k":
        return users_100k, items_100k
    return users_1m, items_1m


def _batches(path: Path, separator: bytes) -> Iterator[pa.RecordBatch]:
    """user, item, rating, Unix seconds: one event a line."""
    first = 1
    with path.open("rb") as file:
        while True:
            lines = file.readlines(BATCH_ROWS * 24)
            if not lines:
                return
            yield _batch(path, first, lines, separator)
            first += len(lines)


def _batch(path: Path, first: int, lines: List[bytes], separator: bytes) -> pa.RecordBatch:
    content = io.BytesIO(b"".join(lines).replace(separator, b"\t"))
    names = ["user", "item", "rating", "time"]
    try:
        table = csv.read_csv(
            content,
            read_options=csv.ReadOptions(column_names=names, use_threads=False),
            parse_options=csv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=csv.ConvertOptions(column_types={name: pa.int64() for name in names}),
        )
    except pa.ArrowInvalid as error:
        raise _bad_line(path, first, lines, separator) from error
    if any(table[name].null_count for name in names):
        raise _bad_line(path, first, lines, separator)
    return movie_events.record_batch(*(table[name].to_numpy() for name in names))


def _bad_line(path: Path, first: int, lines: List[bytes], separator: bytes) -> UsageError:
    for number, line in enumerate(lines, first):
        cells = line.split(separator)
        if len(cells) != 4 or not all(cell.strip().lstrip(b"-").isdigit() for cell in cells):
            text = line.decode("latin-1").strip()
            return UsageError(
                f"{path} line {number} is {text!r}; it must be user, item, rating and Unix seconds, whole numbers"
            )
    return UsageError(f"{path} cannot be read from line {first} on; fetch it again")


def _digest(paths: List[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    return digest.hexdigest()


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
