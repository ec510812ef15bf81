"""numpy and TensorProto, both ways, without TensorFlow. Strings are arrays of bytes objects."""

from __future__ import annotations

import sys
from typing import Any, Dict

import numpy as np

from serving.client.cells import numpy_type
from serving.client.errors import RequestError, ServerFailed

_FIELDS: Dict[str, str] = {
    "float32": "float_val", "float64": "double_val", "int32": "int_val", "int16": "int_val", "int8": "int_val",
    "uint8": "int_val", "uint16": "int_val", "int64": "int64_val", "uint32": "uint32_val", "uint64": "uint64_val",
    "bool": "bool_val", "float16": "half_val", "bfloat16": "half_val", "string": "string_val",
    "complex64": "scomplex_val", "complex128": "dcomplex_val",
}
_ENUM_NAMES = {"float32": "DT_FLOAT", "float64": "DT_DOUBLE", "float16": "DT_HALF"}


def fill(proto: Any, array: np.ndarray) -> None:
    """Writes an array into a TensorProto; numbers as `tensor_content`, which a server decodes far faster."""
    dtype = "string" if array.dtype == object else array.dtype.name
    if dtype not in _FIELDS:
        raise RequestError(f"arrays of {dtype} cannot be sent")
    enum = type(proto).DESCRIPTOR.fields_by_name["dtype"].enum_type
    proto.dtype = enum.values_by_name[_ENUM_NAMES.get(dtype, f"DT_{dtype.upper()}")].number
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if dtype == "string":
        proto.string_val.extend(array.ravel().tolist())
    else:
        proto.tensor_content = (array if sys.byteorder == "little" else array.byteswap()).tobytes()


def read(proto: Any) -> np.ndarray:
    """The array in a TensorProto, the caller's own. Raises ServerFailed for one that makes no sense."""
    enum = type(proto).DESCRIPTOR.fields_by_name["dtype"].enum_type
    name = enum.values_by_number[proto.dtype].name
    dtype = next((ours for ours, theirs in _ENUM_NAMES.items() if theirs == name), name[len("DT_"):].lower())
    if dtype not in _FIELDS:
        raise ServerFailed(f"the server answered with type {dtype}, which this client cannot read")
    shape = [dimension.size for dimension in proto.tensor_shape.dim]
    try:
        return _flat(proto, dtype).reshape(shape)
    except ValueError as error:
        raise ServerFailed(f"the server answered with a tensor of shape {shape} that is not whole: {error}") from error


def _flat(proto: Any, dtype: str) -> np.ndarray:
    values = getattr(proto, _FIELDS[dtype])
    if dtype == "string":
        array = np.empty(len(values), object)
        array[:] = list(values)
        return array
    target = np.dtype(numpy_type("the answer", dtype))
    if proto.tensor_content:
        content = np.frombuffer(proto.tensor_content, target).copy()
        return content if sys.byteorder == "little" else content.byteswap()
    if _FIELDS[dtype] == "half_val":
        return np.array(values, np.uint16).view(target)
    if target.kind == "c":
        return np.array(values, target.type(0).real.dtype).view(target)
    return np.array(values, target)
