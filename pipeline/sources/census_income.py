"""Census Income (UCI "Adult", 1994): two questions about the same person, with the split of its publisher.

`income` (above 50,000 dollars a year) is the main task and `never_married` the other, as in Ma et al. (KDD 2018) on the
larger "Census-Income (KDD)". As there, marital status and education are no inputs. Nor is `relationship`, since a
husband or wife is married by definition, nor `fnlwgt`, which says how many people a row stands for and nothing about
the person in it. The official test file is the test part; the validation part is drawn from the training file.

Ranking needs two sides: what somebody brings is the user's, the work somebody does the item's.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np
import pyarrow as pa

from pipeline.schema import Schema, parse
from pipeline.sources.source import BATCH_ROWS, Source
from signatures.errors import UsageError

NAME = "census-income"
FOLDERS = (NAME, "census-income-adult", "adult")
FILES = (("census-income.data", "census-income.test"), ("adult.data", "adult.test"))
"""Training and test file: one table of UCI under two names."""

_COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship", "race",
    "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income",
)  # fmt: skip
_MISSING = "?"
_POOR, _RICH = "<=50K", ">50K"


@dataclass(frozen=True)
class _Line:
    number: int
    cells: List[str]


def find(places: Tuple[Path, ...]) -> Path:
    """The first of the data set's folders below these places. Raises UsageError saying where to put it."""
    for place in places:
        for folder in (place / name for name in FOLDERS):
            if any((folder / train).is_file() for train, _ in FILES):
                return folder
    where = " or ".join(str(place / NAME) for place in places)
    raise UsageError(
        f"data set {NAME} is not in {where}; put {' and '.join(FILES[0])} (or {' and '.join(FILES[1])}) there, "
        "from archive.ics.uci.edu/dataset/2/adult"
    )


def read(folder: Path) -> Source:
    """The data set of this folder. Raises UsageError naming file and line."""
    train, test = next(
        ((folder / train, folder / test) for train, test in FILES if (folder / train).is_file()),
        (folder / FILES[0][0], folder / FILES[0][1]),
    )
    counts = [len(_lines(path)) for path in (train, test)]
    return Source(
        dataset=NAME,
        synthetic=False,
        schema=schema(),
        digest=hashlib.sha256(train.read_bytes() + b"\n\n" + test.read_bytes()).hexdigest(),
        rows=sum(counts),
        columns=tuple(_columns(train, [])),
        batches=functools.partial(_batches, train, test),
        split="published",
        held_out=counts[1],
    )


def schema() -> Schema:
    """What a row means; see the module for what is left out."""
    content: Dict[str, Any] = {
        "name": NAME,
        "features": [
            _buckets("age", "user", 32),
            *_texts("user", "race", "sex", "native_country"),
            *_texts("item", "workclass", "occupation"),
            _buckets("hours_per_week", "item", 32),
            # Nine in ten have neither gain nor loss: so many quantiles, that some dozens are of those who have.
            _buckets("capital_gain", "item", 512),
            _buckets("capital_loss", "item", 512),
        ],
        "labels": [{"name": "income"}, {"name": "never_married"}],
        "tasks": [{"name": name, "label": name} for name in ("income", "never_married")],
    }
    return parse(content, f"schema of {NAME}")


def _texts(side: str, *names: str) -> List[Dict[str, Any]]:
    return [{"name": name, "kind": "categorical", "side": side, "dtype": "string"} for name in names]


def _buckets(name: str, side: str, quantiles: int) -> Dict[str, Any]:
    return {"name": name, "kind": "numeric", "side": side, "transform": "bucketise", "quantiles": quantiles}


def _batches(train: Path, test: Path) -> Iterator[pa.RecordBatch]:
    for path in (train, test):
        lines = _lines(path)
        for start in range(0, len(lines), BATCH_ROWS):
            columns = _columns(path, lines[start : start + BATCH_ROWS])
            yield pa.record_batch(list(columns.values()), names=list(columns))


def _lines(path: Path) -> List[_Line]:
    """The rows of a file; empty lines and the publisher's remark at the top of adult.test (`|1x3 …`) are none."""
    if not path.is_file():
        raise UsageError(f"{NAME}: file {path} is missing; put the official files there")
    found = []
    for number, text in enumerate(path.read_text(encoding="latin-1").splitlines(), 1):
        if not text.strip() or text.startswith("|"):
            continue
        cells = [cell.strip() for cell in text.split(",")]
        if len(cells) != len(_COLUMNS):
            raise UsageError(f"{path} line {number} has {len(cells)} values instead of {len(_COLUMNS)}")
        found.append(_Line(number, cells))
    if not found:
        raise UsageError(f"{NAME}: file {path} is empty; put the official files there")
    return found


def _columns(path: Path, lines: List[_Line]) -> Dict[str, pa.Array]:
    cells = {name: [line.cells[i] for line in lines] for i, name in enumerate(_COLUMNS)}
    known = schema()
    found: Dict[str, pa.Array] = {}
    for column in known.columns():
        if column.dtype == "string":
            found[column.name] = pa.array(["" if c == _MISSING else c for c in cells[column.name]], pa.string())
        else:
            found[column.name] = _numbers(path, column.name, lines, cells[column.name])
    # The publisher's test file ends its labels with a full stop.
    incomes = [cell.rstrip(".") for cell in cells["income"]]
    for line, income in zip(lines, incomes):
        if income not in (_POOR, _RICH):
            raise UsageError(f"{path} line {line.number}: income is {income!r}; it must be {_POOR} or {_RICH}")
    found["income"] = pa.array(np.array([income == _RICH for income in incomes], np.float32))
    found["never_married"] = pa.array(np.array([c == "Never-married" for c in cells["marital_status"]], np.float32))
    return found


def _numbers(path: Path, name: str, lines: List[_Line], cells: List[str]) -> pa.Array:
    for line, cell in zip(lines, cells):
        if not cell.isdigit() and cell != _MISSING:
            raise UsageError(f"{path} line {line.number}: {name} is {cell!r}; it must be a whole number or {_MISSING}")
    return pa.array([float("nan") if cell == _MISSING else float(cell) for cell in cells], pa.float32())
