"""When two answers are the same."""

from __future__ import annotations

from typing import Any, Optional, Tuple

import numpy as np

TOLERANCE = 1e-5
"""Largest difference of two float32 that count as equal, absolute and relative."""
_COARSE = {"float16": 1e-2, "bfloat16": 5e-2}


def identical(left: np.ndarray, right: np.ndarray) -> bool:
    """Equal in shape and value; numbers up to the last bits, NaN equal to NaN."""
    if left.shape != right.shape:
        return False
    if not _is_float(left):
        return bool(np.array_equal(left, right))
    slack = 4 * float(np.finfo(left.dtype).eps) if left.dtype.kind in "fc" else 0.0
    return bool(np.allclose(_plain(left), _plain(right), rtol=slack, atol=slack, equal_nan=True))


def difference(found: np.ndarray, expected: np.ndarray) -> Optional[Tuple[Any, Any]]:
    """The two values that differ most, of arrays of one shape; None where all count as equal."""
    if found.size == 0:
        return None
    if not _is_float(expected):
        unequal = np.argwhere(found != expected)
        return (_at(found, unequal[0]), _at(expected, unequal[0])) if len(unequal) else None
    tolerance = _COARSE.get(str(expected.dtype), TOLERANCE)
    a, b = np.atleast_1d(_plain(found)), np.atleast_1d(_plain(expected))
    with np.errstate(invalid="ignore"):
        gap = np.abs(a - b) / np.maximum(1.0, np.abs(b))
    gap[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0
    gap[~np.isfinite(gap)] = np.inf
    if float(gap.max()) <= tolerance:
        return None
    worst = np.unravel_index(int(gap.argmax()), gap.shape)
    return a[worst].item(), b[worst].item()


def overlap(left: np.ndarray, right: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Both cut to the cells that both have: answers to a wider request may be wider."""
    if left.ndim != right.ndim:
        return left.reshape(-1)[:0], right.reshape(-1)[:0]
    cells = tuple(slice(0, min(a, b)) for a, b in zip(left.shape, right.shape))
    return left[cells], right[cells]


def finite(cells: np.ndarray) -> bool:
    """True when no number is NaN or infinite."""
    return not _is_float(cells) or bool(np.isfinite(_plain(cells)).all())


def show(value: Any) -> str:
    """A value as a message has it."""
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


def _is_float(cells: np.ndarray) -> bool:
    return cells.dtype.kind in "fc" or str(cells.dtype) == "bfloat16"


def _plain(cells: np.ndarray) -> np.ndarray:
    """Numbers in double precision: bfloat16 knows no comparisons of its own."""
    return cells.astype(np.complex128 if cells.dtype.kind == "c" else np.float64)


def _at(cells: np.ndarray, place: np.ndarray) -> Any:
    value = cells[tuple(place)]
    return value.item() if isinstance(value, np.generic) else value
