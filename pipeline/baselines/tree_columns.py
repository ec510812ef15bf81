"""Rows as a dense matrix for trees, with label statistics of ids too many for a tree to tell apart.

A number is itself (NaN where missing), a categorical of few values its code, a bag a column for each of its most
frequent values, a sequence its length. A categorical of many values is told by two numbers of the training rows: how
often the value occurs, and its smoothed share of positives (Micci-Barreca, SIGKDD Explorations 2001):

    (positives of the value + SMOOTHING * share of all) / (rows of the value + SMOOTHING)

For a training row that share is of the other folds, so that no row's own label is in its features.
"""

from __future__ import annotations

from typing import Any, List, Tuple

import numpy as np
import pyarrow as pa

from pipeline.baselines.labelled import Examples
from pipeline.baselines.one_hot import codes, flat, values
from pipeline.rows import Rows, count
from pipeline.schema import Bag, Categorical, Dense, Numeric, Schema, Sequence

FEW = 64
"""Values that a column of codes, or the columns of a bag, may have."""
SMOOTHING = 20.0
"""Rows of the average value that each value is given besides its own."""
FOLDS = 5


class TreeColumns:
    """Columns learned from training rows, and what they are for any row."""

    def __init__(self, schema: Schema, train: Examples) -> None:
        self._columns: List[Any] = []
        for feature in schema.features:
            self._columns += _columns(feature, train)
        self._train = train
        flags = [flag for column in self._columns for flag in column.categorical]
        self.categorical: Tuple[int, ...] = tuple(np.flatnonzero(flags).tolist())
        """Places of the columns whose numbers are codes."""

    def __call__(self, rows: Rows) -> np.ndarray:
        """float64 [n, columns] of rows that are not of the training part."""
        return np.column_stack([column(rows) for column in self._columns])

    def of_training(self) -> np.ndarray:
        """The same of the training rows, in their order."""
        parts = [c.of_training if isinstance(c, _Shares) else c(self._train.rows) for c in self._columns]
        return np.column_stack(parts)


def _columns(feature: Any, train: Examples) -> List[Any]:
    name = feature.name
    if isinstance(feature, Categorical):
        known = values(train.rows[name], feature.dtype)
        return [_Codes(name, known)] if len(known) <= FEW else [_Shares(name, known, train)]
    if isinstance(feature, Bag):
        return [_Marks(name, values(flat(train.rows, name)[1], feature.dtype)[:FEW])]
    if isinstance(feature, Sequence):
        return [_Number(f"{name}_length", 1)]
    if isinstance(feature, (Numeric, Dense)):
        return [_Number(name, feature.width if isinstance(feature, Dense) else 1)]
    return []


class _Number:
    def __init__(self, name: str, width: int) -> None:
        self._name = name
        self.categorical = [False] * width

    def __call__(self, rows: Rows) -> np.ndarray:
        return rows[self._name].astype(np.float64)


class _Codes:
    categorical = [True]

    def __init__(self, name: str, known: pa.Array) -> None:
        self._name, self._known = name, known

    def __call__(self, rows: Rows) -> np.ndarray:
        found = codes(rows[self._name], self._known)
        return np.where(found >= 0, found, np.nan)


class _Marks:
    def __init__(self, name: str, known: pa.Array) -> None:
        self._name, self._known = name, known
        self.categorical = [False] * len(known)

    def __call__(self, rows: Rows) -> np.ndarray:
        row, cells = flat(rows, self._name)
        place = codes(cells, self._known)
        found = np.zeros((count(rows), len(self._known)))
        found[row[place >= 0], place[place >= 0]] = 1.0
        return found


class _Shares:
    """Share of positives, and count, of each value of one column."""

    categorical = [False, False]

    def __init__(self, name: str, known: pa.Array, train: Examples) -> None:
        self._name, self._known = name, known
        code = codes(train.rows[name], known)
        labels = train.labels.astype(np.float64)
        self._counts = np.append(_sums(code, np.ones(len(code)), known), 0.0)
        self._shares = _smoothed(code, labels, known)
        fold = np.random.default_rng(1).integers(0, FOLDS, len(code))
        share = np.empty(len(code))
        for each in range(FOLDS):
            others = fold != each
            share[~others] = _smoothed(code[others], labels[others], known)[code[~others]]
        self.of_training = np.column_stack([share, np.log1p(self._counts[code])])

    def __call__(self, rows: Rows) -> np.ndarray:
        code = codes(rows[self._name], self._known)
        return np.column_stack([self._shares[code], np.log1p(self._counts[code])])


def _sums(code: np.ndarray, numbers: np.ndarray, known: pa.Array) -> np.ndarray:
    inside = code >= 0
    return np.bincount(code[inside], weights=numbers[inside], minlength=len(known))


def _smoothed(code: np.ndarray, labels: np.ndarray, known: pa.Array) -> np.ndarray:
    """[values + 1]: the last, at place -1, is of a value that is not known."""
    average = labels.mean() if len(labels) else 0.5
    positives, rows = _sums(code, labels, known), _sums(code, np.ones(len(code)), known)
    return np.append((positives + SMOOTHING * average) / (rows + SMOOTHING), average)
