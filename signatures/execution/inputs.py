"""What the inputs of a signature mean: from the manifest, else from conventions.

NAME and NAME_length are a list and its length. A sparse input comes flattened, as indices NAME, values NAME_1 and shape
NAME_2; a ragged one as values NAME and row splits NAME_1.
"""

from __future__ import annotations

from typing import Dict, Optional

from signatures.execution.recipe import Input
from signatures.manifest import Manifest
from signatures.manifest import Signature as Declared
from signatures.saved_model import Signature, TensorInfo

SUFFIX = "_length"


def describe(signature: Signature, manifest: Optional[Manifest]) -> Dict[str, Input]:
    """By name. What the manifest says of an input holds; what it does not know is read from the names."""
    declared = manifest.signatures.get(signature.name) if manifest is not None else None
    kinds = {name: f.kind for f in manifest.features for name in f.inputs} if manifest is not None else {}
    parts = _parts(signature) if declared is None else {}
    return {
        name: Input(
            name,
            info.dtype,
            info.shape,
            role=parts.get(name) or _role(signature, declared, name),
            length=_length(signature, declared, name),
            kind=kinds.get(name, ""),
            # where some inputs come flattened, rows cannot be told apart
            batched=not parts and (info.shape is None or (len(info.shape) > 0 and info.shape[0] is None)),
        )
        for name, info in signature.inputs.items()
    }


def _parts(signature: Signature) -> Dict[str, str]:
    """The roles of what a sparse or ragged input was flattened into."""
    found: Dict[str, str] = {}
    for name, first in signature.inputs.items():
        second, third = (signature.inputs.get(f"{name}_{place}") for place in (1, 2))
        if second is None or second.shape != (None,):
            continue
        if third is not None and _is_sparse(first, third):
            found.update({name: "indices", f"{name}_1": "values", f"{name}_2": "dense_shape"})
        elif third is None and second.dtype in ("int32", "int64") and first.shape and first.shape[0] is None:
            found.update({name: "values", f"{name}_1": "splits"})
    return found


def _is_sparse(indices: TensorInfo, dense_shape: TensorInfo) -> bool:
    """int64 [cells, axes] and int64 [axes]."""
    if indices.shape is None or dense_shape.shape is None or len(dense_shape.shape) != 1:
        return False
    axes = dense_shape.shape[0]
    return indices.dtype == dense_shape.dtype == "int64" and axes is not None and indices.shape == (None, axes)


def _role(signature: Signature, declared: Optional[Declared], name: str) -> str:
    if declared is not None and name in declared.inputs:
        return declared.inputs[name].role
    counted = name[: -len(SUFFIX)] if name.endswith(SUFFIX) else ""
    return "length" if _counts(signature, counted, name) else "unknown"


def _length(signature: Signature, declared: Optional[Declared], name: str) -> Optional[str]:
    if declared is not None and name in declared.inputs:
        length = declared.inputs[name].length
        return length if length in signature.inputs else None
    return name + SUFFIX if _counts(signature, name, name + SUFFIX) else None


def _counts(signature: Signature, listed: str, length: str) -> bool:
    """True when one input can be the length of another: integers over all of its axes but some last ones."""
    cells, counts = signature.inputs.get(listed), signature.inputs.get(length)
    return cells is not None and counts is not None and counts.dtype in ("int32", "int64") and _within(counts, cells)


def _within(counts: TensorInfo, cells: TensorInfo) -> bool:
    if counts.shape is None or cells.shape is None:
        return False
    front = cells.shape[: len(counts.shape)]
    return 0 < len(counts.shape) < len(cells.shape) and front == counts.shape
