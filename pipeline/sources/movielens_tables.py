"""The users and films of MovieLens, in the layouts of ml-100k and ml-1m."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List

import pyarrow as pa

from pipeline.prepared import TITLE
from pipeline.sources.movielens_schema import GENRES
from signatures.errors import UsageError

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


def users_100k(path: Path) -> pa.Table:
    """The table of u.user. Raises UsageError naming file and line."""
    rows = _split(path, "|", 5)
    return _users(path, [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows], [r[3] for r in rows])


def users_1m(path: Path) -> pa.Table:
    """The table of users.dat. Raises UsageError naming file and line."""
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


def items_100k(path: Path) -> pa.Table:
    """The table of u.item. Raises UsageError naming file and line."""
    rows = _split(path, "|", 24)
    # Column 5 is the flag of "unknown".
    genres = [[genre for genre, flag in zip(GENRES, row[6:]) if flag == "1"] for row in rows]
    years = [row[2][-4:] for row in rows]
    return _items(path, [row[0] for row in rows], [row[1] for row in rows], years, genres)


def items_1m(path: Path) -> pa.Table:
    """The table of movies.dat. Raises UsageError naming file and line."""
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
