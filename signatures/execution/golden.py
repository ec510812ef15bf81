"""Golden answers of an export, `golden/SIGNATURE.json`: a request in columns, and what the model answered then."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Mapping, Optional

import numpy as np

from signatures.errors import UsageError
from signatures.saved_model import Signature, TensorInfo

LARGEST = 64 * 2**20
"""Bytes; a golden file holds a handful of rows."""


@dataclass(frozen=True)
class Golden:
    """A request and its answer, as arrays of the signature's dtypes."""

    inputs: Dict[str, np.ndarray]
    outputs: Dict[str, np.ndarray]


def read(folder: Path, signature: Signature) -> Optional[Golden]:
    """The golden answers of a signature; None where the export has none. Raises UsageError when they are unusable."""
    file = folder / "golden" / f"{signature.name}.json"
    if file.parent != folder / "golden" or not file.is_file():
        return None
    try:
        if folder.resolve() not in file.resolve().parents:
            raise UsageError(f"{file} is a link out of the export; copy the file itself")
        if file.stat().st_size > LARGEST:
            raise UsageError(f"{file} is larger than {LARGEST // 2**20} MiB; keep a handful of rows")
        content = json.loads(file.read_text(encoding="utf-8"))
        return Golden(_arrays(content["inputs"], signature.inputs), _arrays(content["outputs"], signature.outputs))
    except UsageError:
        raise
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise UsageError(f"{file} does not hold a request and its answer ({reason}); export the model again") from error


def _arrays(found: Mapping[str, Any], described: Mapping[str, TensorInfo]) -> Dict[str, np.ndarray]:
    unknown = sorted(set(found) - set(described))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not in the signature")
    return {name: array(cells, described[name]) for name, cells in found.items()}


def array(cells: Any, info: TensorInfo) -> np.ndarray:
    """Nested lists as an array of this dtype and rank; text as objects of bytes. Raises ValueError if it is ragged."""
    if info.dtype != "string":
        return _ranked(np.array(cells, np.float32 if info.dtype == "bfloat16" else info.dtype), info)
    text = _ranked(np.array(cells, object), info)
    flat = np.empty(text.size, object)
    flat[:] = [_text(cell) for cell in text.reshape(-1)]
    return flat.reshape(text.shape)


def _text(cell: Any) -> bytes:
    if not isinstance(cell, str):
        raise ValueError(f"a text is {type(cell).__name__}")
    return cell.encode("utf-8")


def _ranked(cells: np.ndarray, info: TensorInfo) -> np.ndarray:
    if info.shape is not None and cells.ndim != len(info.shape):
        if cells.size == 0:  # nested lists say nothing of the axes behind an empty one
            return cells.reshape(*cells.shape, *(0,) * (len(info.shape) - cells.ndim))
        raise ValueError(f"an array has {cells.ndim} axes instead of {len(info.shape)}")
    return cells
