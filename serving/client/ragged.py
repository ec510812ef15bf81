"""Ragged lists as one array and the lengths of its last axis."""

from __future__ import annotations

from typing import Any, List, Tuple

import numpy as np

from serving.client.contract import Tensor
from serving.client.errors import RequestError


def pad(name: str, column: Any, tensor: Tensor) -> Tuple[Any, np.ndarray]:
    """Nested lists padded on the last axis, at the end, and the number of valid cells [...] int64.

    Lists longer than the maximum are cut to the newest, which stand last. An array is already padded: all its cells
    count. Raises RequestError when the nesting is not as deep as the input's shape, or uneven above the last axis.
    """
    rank = len(tensor.shape) if tensor.shape is not None else 2
    maximum = tensor.maximum_length
    if isinstance(column, np.ndarray) and column.dtype != object:
        if column.ndim != rank:
            raise RequestError(f"input {name!r} should have {rank} axes; received shape {list(column.shape)}")
        kept = column if maximum is None else column[..., max(0, column.shape[-1] - maximum):]
        return kept, np.full(kept.shape[:-1], kept.shape[-1], np.int64)
    outer: List[int] = []
    lists: List[Any] = [column]
    for axis in range(rank - 1):
        lists = [_listed(name, value, axis) for value in lists]
        sizes = {len(value) for value in lists}
        if len(sizes) > 1:
            raise RequestError(f"input {name!r} should have equally long lists on axis {axis}; "
                               f"received lengths {sorted(sizes)}")
        outer.append(sizes.pop() if sizes else 0)
        lists = [element for value in lists for element in value]
    cells = [_listed(name, value, rank - 1) for value in lists]
    if maximum is not None:
        cells = [row[max(0, len(row) - maximum):] for row in cells]
    lengths = np.array([len(row) for row in cells], np.int64).reshape(outer)
    return _nested(_padded(cells, tensor.dtype), outer), lengths


def _padded(cells: List[List[Any]], dtype: str) -> List[List[Any]]:
    """Rows of one length; at least one cell, since some graphs cannot run on an axis of size 0."""
    longest = max([len(row) for row in cells] + [1])
    filler: Any = "" if dtype == "string" else 0
    return [row + [filler] * (longest - len(row)) for row in cells]


def _nested(rows: List[Any], outer: List[int]) -> Any:
    """Puts the rows back into the lists of the outer axes."""
    for size in reversed(outer[1:]):
        rows = [rows[i:i + size] for i in range(0, len(rows), size)] if size else []
    return rows


def _listed(name: str, value: Any, axis: int) -> List[Any]:
    if isinstance(value, np.ndarray):
        return list(value)
    if isinstance(value, (list, tuple)):
        return list(value)
    told = type(value).__name__
    raise RequestError(f"input {name!r} should have a list on axis {axis}; received {told} {value!r}")
