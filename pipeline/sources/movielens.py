"""MovieLens 100K and 1M in their official layouts: ml-100k's u.data, u.user, u.item; ml-1m's *.dat. All Latin-1."""

from __future__ import annotations

import functools
import hashlib
import io
import re
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Tuple

import pyarrow as pa
from pyarrow import csv

from pipeline.prepared import TITLE
from pipeline.sources import movie_events
from pipeline.sources.movielens_schema import GENRES, schema
from pipeline.sources.source import BATCH_ROWS, Source
from signatures.errors import UsageError

FILES = {"ml-100k": ("u.data", "u.user", "u.item"), "ml-1m": ("ratings.dat", "users.dat", "movies.dat")}

_OCCUPATIONS = (
    "other",
    "academic/educator",
    "artist",
    "clerical/admin",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive/managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
)
"""Of ml-1m, by the number in users.dat."""


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
        return _users_100k, _items_100k
    return _users_1m, _items_1m


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


def _users_100k(path: Path) -> pa.Table:
    rows = _split(path, "|", 5)
    return _users(path, [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows], [r[3] for r in rows])


def _users_1m(path: Path) -> pa.Table:
    rows = _split(path, "::", 5)
    names = [_OCCUPATIONS[int(r[3])] if r[3].isdigit() and int(r[3]) < len(_OCCUPATIONS) else "" for r in rows]
    return _users(path, [r[0] for r in rows], [r[2] for r in rows], [r[1] for r in rows], names)


def _users(path: Path, ids: List[str], ages: List[str], genders: List[str], occupations: List[str]) -> pa.Table:
    columns: Dict[str, pa.Array] = {
        "user_id": _whole(path, "user id", ids),
        "age": _whole(path, "age", ages).cast(pa.float32()),
        "gender": pa.array(genders, pa.string()),
        "occupation": pa.array(occupations, pa.string()),
    }
    return pa.table(columns)


def _items_100k(path: Path) -> pa.Table:
    rows = _split(path, "|", 24)
    # Column 5 is the flag of "unknown".
    genres = [[genre for genre, flag in zip(GENRES, row[6:]) if flag == "1"] for row in rows]
    years = [row[2][-4:] for row in rows]
    return _items(path, [row[0] for row in rows], [row[1] for row in rows], years, genres)


def _items_1m(path: Path) -> pa.Table:
    rows = _split(path, "::", 3)
    years = [(re.findall(r"\((\d{4})\)\s*$", row[1]) or [""])[0] for row in rows]
    return _items(path, [row[0] for row in rows], [row[1] for row in rows], years, [r[2].split("|") for r in rows])


def _items(path: Path, ids: List[str], titles: List[str], years: List[str], genres: List[List[str]]) -> pa.Table:
    columns: Dict[str, pa.Array] = {
        "item_id": _whole(path, "item id", ids),
        TITLE: pa.array(titles, pa.string()),
        "genres": pa.array(genres, pa.list_(pa.string())),
        "release_year": pa.array([float(y) if y.isdigit() else float("nan") for y in years], pa.float32()),
    }
    return pa.table(columns)


def _split(path: Path, separator: str, width: int) -> List[List[str]]:
    rows = [line.rstrip("\r").split(separator) for line in path.read_bytes().decode("latin-1").split("\n")]
    rows = [row for row in rows if row != [""]]
    for number, row in enumerate(rows, 1):
        if len(row) != width:
            raise UsageError(f"{path} line {number} has {len(row)} values instead of {width}; fetch the file again")
    if not rows:
        raise UsageError(f"{path} is empty; put the unpacked official archive there")
    return rows


def _whole(path: Path, what: str, cells: List[str]) -> pa.Array:
    for number, cell in enumerate(cells, 1):
        if not cell.isdigit():
            raise UsageError(f"{path} line {number}: {what} is {cell!r}; it must be a whole number")
    return pa.array([int(cell) for cell in cells], pa.int64())


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
