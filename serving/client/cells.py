"""Cells of any Python or numpy type as an array of exactly the type that a signature declares."""

from __future__ import annotations

from itertools import chain
from typing import Any, Dict, List, Sequence

import numpy as np

from serving.client.errors import RequestError

_MISSING: Dict[str, Any] = {"f": float("nan"), "i": -1, "O": ""}
"""What our exports read as a missing cell, by numpy's kind."""
_ALLOWED: Dict[str, Any] = {
    "f": (int, float, np.integer, np.floating), "i": (int, np.integer), "u": (int, np.integer), "b": (bool, np.bool_),
    "c": (int, float, complex, np.integer, np.floating, np.complexfloating),
}
"""Types of cells by numpy's kind."""


def to_array(what: str, value: Any, dtype: str) -> np.ndarray:
    """Strings become bytes objects. Raises RequestError for ragged lists and for cells that would change in value."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return _from_array(what, value, dtype)
    shape, cells = _flatten(what, value)
    target = numpy_type(what, dtype)
    kind = _kind(np.dtype(target))
    if any(cell is None for cell in cells):
        if kind not in _MISSING:
            raise RequestError(f"{what} should be {dtype}; received None, and {dtype} has no value for a missing cell")
        cells = [_MISSING[kind] if cell is None else cell for cell in cells]
    return _convert(what, cells, dtype, kind).reshape(shape)


def numpy_type(what: str, dtype: str) -> Any:
    """numpy's type for a signature's; object for strings. Raises RequestError for types that numpy lacks."""
    if dtype == "string":
        return np.object_
    try:
        if dtype == "bfloat16":  # numpy learns of it from a package of its own, which TensorFlow brings along
            import ml_dtypes

            return ml_dtypes.bfloat16
        return np.dtype(dtype).type
    except (TypeError, ImportError):
        raise RequestError(f"{what} has type {dtype}, which this client cannot send") from None


def _from_array(what: str, array: np.ndarray, dtype: str) -> np.ndarray:
    target = numpy_type(what, dtype)
    if target is np.object_:
        if array.dtype.kind not in "US":
            raise RequestError(f"{what} should be string; received {array.dtype}")
        return _bytes(what, array.ravel().tolist()).reshape(array.shape)
    if array.dtype == target:
        return array
    # float64 to float32 is how every caller's numbers arrive; any other change of kind or width must lose nothing.
    rounds = _kind(array.dtype) == "f" and _kind(np.dtype(target)) == "f"
    if rounds or np.can_cast(array.dtype, target, "safe"):
        return array.astype(target)
    if array.dtype.kind in "iu":
        return _convert(what, array.ravel().tolist(), dtype, _kind(np.dtype(target))).reshape(array.shape)
    raise RequestError(f"{what} should be {dtype}; received an array of {array.dtype}")


def _flatten(what: str, value: Any) -> tuple[List[int], List[Any]]:
    shape: List[int] = []
    cells: List[Any] = [value]
    while cells and all(isinstance(cell, (list, tuple, np.ndarray)) for cell in cells):
        sizes = {len(cell) for cell in cells}
        if len(sizes) > 1:
            raise RequestError(f"{what} should have equally long lists; received lengths {sorted(sizes)}")
        shape.append(sizes.pop())
        cells = list(chain.from_iterable(cells))
    for cell in cells:
        if isinstance(cell, (list, tuple, dict, set, np.ndarray)):
            raise RequestError(f"{what} should have lists of equal depth; received {type(cell).__name__} among cells")
    return shape, cells


def _convert(what: str, cells: Sequence[Any], dtype: str, kind: str) -> np.ndarray:
    if kind == "O":
        return _bytes(what, cells)
    for cell in cells:
        if not isinstance(cell, _ALLOWED.get(kind, ())) or (kind != "b" and isinstance(cell, (bool, np.bool_))):
            raise RequestError(f"{what} should be {dtype}; received {type(cell).__name__} {cell!r}")
    if kind in "iu":
        limits = np.iinfo(dtype)
        for cell in cells:
            if not limits.min <= cell <= limits.max:
                raise RequestError(f"{what} should be {dtype}; received {cell}, which does not fit")
    with np.errstate(over="ignore"):
        return np.array(cells, numpy_type(what, dtype))


def _kind(dtype: np.dtype) -> str:
    """numpy's kind, which for bfloat16 says nothing."""
    return "f" if dtype.name == "bfloat16" else dtype.kind


def _bytes(what: str, cells: Sequence[Any]) -> np.ndarray:
    array = np.empty(len(cells), object)
    for number, cell in enumerate(cells):
        if not isinstance(cell, (str, bytes)):
            raise RequestError(f"{what} should be string; received {type(cell).__name__} {cell!r}")
        array[number] = cell.encode("utf-8", "surrogateescape") if isinstance(cell, str) else cell
    return array
