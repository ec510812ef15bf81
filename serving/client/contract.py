"""What a signature takes and gives, from an export's manifest or from a server's metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterable, Mapping, Optional, Tuple

from serving.client.errors import RequestError
from signatures.manifest import Manifest

Shape = Optional[Tuple[Optional[int], ...]]
"""None is an unknown rank, a None within is a free dimension."""

_LENGTH = "_length"


@dataclass(frozen=True)
class Tensor:
    """One input or output. `length` names the input that counts the valid cells of the last axis."""

    dtype: str
    """numpy's name, or `string`."""
    shape: Shape
    length: Optional[str] = None
    maximum_length: Optional[int] = None
    required: bool = True


@dataclass(frozen=True)
class Contract:
    """One signature of one model."""

    model: str
    signature: str
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]

    def lengths(self) -> Dict[str, Tuple[str, ...]]:
        """The length inputs, each with the inputs whose cells it counts."""
        found: Dict[str, Tuple[str, ...]] = {}
        for name, tensor in self.inputs.items():
            if tensor.length is not None:
                found[tensor.length] = (*found.get(tensor.length, ()), name)
        return found


def from_manifest(manifest: Manifest, signature: str) -> Contract:
    """The contract that an export declares. Raises RequestError for a signature that it lacks."""
    if signature not in manifest.signatures:
        raise _no_signature(manifest.model, signature, manifest.signatures)
    declared = manifest.signatures[signature]
    inputs = {
        name: Tensor(info.dtype, info.shape, info.length, info.maximum_length) for name, info in declared.inputs.items()
    }
    outputs = {name: Tensor(info.dtype, info.shape) for name, info in declared.outputs.items()}
    return Contract(manifest.model, signature, inputs, outputs)


def from_metadata(model: str, signatures: Any, signature: str) -> Contract:
    """The contract in a server's SignatureDefMap. Raises RequestError for a signature that it lacks.

    A server tells no lengths; here the naming rule of our exports stands in: `NAME_length` counts the cells of `NAME`
    and of `NAME_…`, where these have one more axis and its size is free.
    """
    if signature not in signatures.signature_def:
        served = [name for name in signatures.signature_def if not name.startswith("__")]
        raise _no_signature(model, signature, served)
    declared = signatures.signature_def[signature]
    optional = set(declared.defaults)
    bare = {name: _tensor(info, name not in optional) for name, info in declared.inputs.items()}
    inputs = {name: _with_length(name, tensor, bare) for name, tensor in bare.items()}
    outputs = {name: _tensor(info, True) for name, info in declared.outputs.items()}
    return Contract(model, signature, inputs, outputs)


def _tensor(info: Any, required: bool) -> Tensor:
    enum = type(info).DESCRIPTOR.fields_by_name["dtype"].enum_type
    name = enum.values_by_number[info.dtype].name[len("DT_"):].lower()
    dtype = {"float": "float32", "double": "float64", "half": "float16"}.get(name, name)
    if info.tensor_shape.unknown_rank:
        return Tensor(dtype, None, required=required)
    sizes = tuple(dimension.size if dimension.size >= 0 else None for dimension in info.tensor_shape.dim)
    return Tensor(dtype, sizes, required=required)


def _with_length(name: str, tensor: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
    if name.endswith(_LENGTH) or not tensor.shape or tensor.shape[-1] is not None:
        return tensor
    parts = name.split("_")
    for count in range(len(parts), 0, -1):
        length = "_".join(parts[:count]) + _LENGTH
        counted = inputs.get(length)
        if counted is not None and counted.shape is not None and len(counted.shape) == len(tensor.shape) - 1:
            return Tensor(tensor.dtype, tensor.shape, length, required=tensor.required)
    return tensor


def _no_signature(model: str, signature: str, known: Iterable[str]) -> RequestError:
    return RequestError(f"model {model!r} has no signature {signature!r}; it has {', '.join(sorted(known))}")
