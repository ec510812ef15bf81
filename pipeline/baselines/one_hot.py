"""Rows as a sparse matrix with a column for each value: what a linear model reads."""

from __future__ import annotations

from typing import Any, Callable, List, Optional, Tuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from pipeline.prepared import Prepared, Statistics
from pipeline.rows import Rows, count
from pipeline.schema import Bag, Categorical, Dense, Numeric
from signatures.errors import UsageError

Encode = Callable[[Rows], sparse.csr_matrix]
"""n rows to [n, columns of the feature]."""


class OneHot:
    """Columns learned from training rows: a value that these do not have, or a missing one, is a row of zeros.

    A categorical has a column for each value, a bag one for each of its cells' values, a bucketised number one for
    each bucket; another number is scaled as for the models, a vector is as it is. Sequences are left out: without
    their order and the candidate they are told apart from, a linear model can make little of them.
    """

    def __init__(self, prepared: Prepared, rows: Rows) -> None:
        encoders = [_encoder(feature, prepared, rows) for feature in prepared.schema.features]
        self._encoders: List[Encode] = [encoder for encoder in encoders if encoder is not None]
        if not self._encoders:
            raise UsageError(f"schema {prepared.schema.name!r} has sequences only, which no one-hot column can show")

    def __call__(self, rows: Rows) -> sparse.csr_matrix:
        """float64 [n, columns]."""
        return sparse.hstack([encode(rows) for encode in self._encoders], format="csr")


def values(cells: np.ndarray, dtype: str, minimum_count: int = 1) -> pa.Array:
    """The values of cells [n] of an id column that occur so often, most frequent first, without the missing one."""
    missing = "" if dtype == "string" else -1
    counts = pc.value_counts(pa.array(cells, pa.string() if dtype == "string" else pa.int64()))
    table = pa.table({"id": counts.field("values"), "count": counts.field("counts")})
    kept = table.filter(pc.and_(pc.greater_equal(table["count"], minimum_count), pc.not_equal(table["id"], missing)))
    return kept.sort_by([("count", "descending"), ("id", "ascending")])["id"].combine_chunks()


def codes(cells: np.ndarray, known: pa.Array) -> np.ndarray:
    """int64 [n]: the place of each cell among the known values; -1 for another."""
    found = pc.fill_null(pc.index_in(pa.array(cells, known.type), value_set=known), -1)
    return np.asarray(found).astype(np.int64)


def flat(rows: Rows, name: str) -> Tuple[np.ndarray, np.ndarray]:
    """Row [c] and value [c] of each cell of a list."""
    cells = rows[name]
    row, step = np.nonzero(np.arange(cells.shape[1]) < rows[f"{name}_length"][:, np.newaxis])
    return row, cells[row, step]


def buckets(feature: Numeric, prepared: Prepared) -> np.ndarray:
    """Edges of a bucketised number."""
    learned = prepared.facts.statistics[feature.name].boundaries if feature.boundaries is None else feature.boundaries
    return np.asarray(learned or (), np.float32)


def scaled(feature: Numeric, statistics: Statistics, cells: np.ndarray) -> np.ndarray:
    """float64 [n] as the models read it; 0 for a missing number."""
    present = np.isfinite(cells)
    number = np.where(present, cells, 0.0).astype(np.float64)
    if feature.clip is not None:
        number = np.clip(number, *feature.clip)
    if feature.transform.startswith("log1p"):
        number = np.log1p(np.maximum(number, 0.0))
    if feature.transform.endswith("standardise"):
        number = (number - statistics.mean) / (statistics.deviation or 1.0)
    return np.where(present, number, 0.0)


def _encoder(feature: Any, prepared: Prepared, rows: Rows) -> Optional[Encode]:
    name = feature.name
    if isinstance(feature, Categorical):
        known = values(rows[name], feature.dtype, feature.minimum_count)
        return lambda found: _marks(np.arange(count(found)), codes(found[name], known), count(found), len(known))
    if isinstance(feature, Bag):
        in_bags = values(flat(rows, name)[1], feature.dtype, feature.minimum_count)
        return lambda found: _bag(found, name, in_bags)
    if isinstance(feature, Numeric) and feature.transform == "bucketise":
        edges = buckets(feature, prepared)
        return lambda found: _bucket(found[name], edges)
    if isinstance(feature, Numeric):
        statistics = prepared.facts.statistics[name]
        return lambda found: sparse.csr_matrix(scaled(feature, statistics, found[name])[:, np.newaxis])
    if isinstance(feature, Dense):
        return lambda found: sparse.csr_matrix(np.nan_to_num(found[name].astype(np.float64), posinf=0.0, neginf=0.0))
    return None


def _bag(rows: Rows, name: str, known: pa.Array) -> sparse.csr_matrix:
    row, cells = flat(rows, name)
    return _marks(row, codes(cells, known), count(rows), len(known))


def _bucket(cells: np.ndarray, edges: np.ndarray) -> sparse.csr_matrix:
    place = np.where(np.isfinite(cells), np.searchsorted(edges, cells, side="right"), -1)
    return _marks(np.arange(len(cells)), place, len(cells), len(edges) + 1)


def _marks(row: np.ndarray, column: np.ndarray, rows: int, columns: int) -> sparse.csr_matrix:
    known = column >= 0
    found = sparse.csr_matrix((np.ones(known.sum()), (row[known], column[known])), (rows, columns))
    found.data[:] = 1.0  # a value that stands in a bag twice is in it once
    return found
