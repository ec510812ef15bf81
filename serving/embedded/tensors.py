"""TensorProto and numpy, both ways, with the real server's rules.

Requests may use `tensor_content` or typed fields; replies use typed fields. numpy arrays of strings hold bytes objects.
"""

from __future__ import annotations

import struct
from typing import Any, Dict, List

import numpy as np
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.embedded import dtypes
from serving.embedded.errors import StatusError

_TYPED_FIELD: Dict[int, str] = {
    types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_DOUBLE: "double_val",
    types_pb2.DT_INT8: "int_val",
    types_pb2.DT_INT16: "int_val",
    types_pb2.DT_INT32: "int_val",
    types_pb2.DT_UINT8: "int_val",
    types_pb2.DT_UINT16: "int_val",
    types_pb2.DT_INT64: "int64_val",
    types_pb2.DT_UINT32: "uint32_val",
    types_pb2.DT_UINT64: "uint64_val",
    types_pb2.DT_BOOL: "bool_val",
    types_pb2.DT_STRING: "string_val",
    types_pb2.DT_HALF: "half_val",
    types_pb2.DT_BFLOAT16: "half_val",
    types_pb2.DT_COMPLEX64: "scomplex_val",
    types_pb2.DT_COMPLEX128: "dcomplex_val",
    types_pb2.DT_FLOAT8_E5M2: "float8_val",
    types_pb2.DT_FLOAT8_E4M3FN: "float8_val",
    types_pb2.DT_INT4: "int_val",
    types_pb2.DT_UINT4: "int_val",
}
_ON_THE_WIRE: Dict[str, Any] = {
    "float_val": np.float32,
    "double_val": np.float64,
    "scomplex_val": np.float32,
    "dcomplex_val": np.float64,
}
"""The packed fields whose bytes are the array's own; a complex number is two of them."""
_FOUR_BITS = (types_pb2.DT_INT4, types_pb2.DT_UINT4)
_LARGEST = 2**26
"""Elements; a shape beyond it is a mistake or an attack, never data."""


def to_array(proto: tensor_pb2.TensorProto) -> np.ndarray:
    """The array of a proto. Raises ValueError where the real server answers `tensor parsing error`."""
    shape = [dimension.size for dimension in proto.tensor_shape.dim]
    count = 1
    for size in shape:
        count *= size
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape) or count > _LARGEST:
        raise ValueError(f"shape {shape} has no definite size")
    if proto.dtype not in _TYPED_FIELD:
        raise ValueError(f"type {dtypes.name(proto.dtype)} cannot be sent")
    if proto.tensor_content:
        return _from_content(proto, count).reshape(shape)
    return _from_typed_field(proto, count).reshape(shape)


def to_proto(array: np.ndarray) -> tensor_pb2.TensorProto:
    """The proto of an array, in typed fields. Raises StatusError for types that a reply cannot carry."""
    dtype = dtypes.from_numpy(array)
    if dtype not in _TYPED_FIELD:
        raise StatusError("UNIMPLEMENTED", f"The embedded server cannot send type {dtypes.name(dtype)}")
    proto = tensor_pb2.TensorProto(dtype=dtype)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    flat = np.ascontiguousarray(array).reshape(-1)
    field = _TYPED_FIELD[dtype]
    if field in _ON_THE_WIRE and flat.size:
        # The packed field on the wire is the array's own little-endian bytes, so no Python number is ever made.
        number = tensor_pb2.TensorProto.DESCRIPTOR.fields_by_name[field].number
        proto.MergeFromString(_packed(number, flat.view(_ON_THE_WIRE[field])))
    elif field == "float8_val":
        proto.float8_val = flat.tobytes()
    elif field == "half_val":
        proto.half_val.extend(flat.view(np.uint16).tolist())
    else:
        getattr(proto, field).extend(flat.astype(np.int64).tolist() if dtype in _FOUR_BITS else flat.tolist())
    return proto


def _from_content(proto: tensor_pb2.TensorProto, count: int) -> np.ndarray:
    if proto.dtype == types_pb2.DT_STRING:
        return _strings(_string_list(proto.tensor_content, count))
    array = np.frombuffer(proto.tensor_content, dtypes.to_numpy(proto.dtype))
    if array.size != count:
        raise ValueError(f"tensor_content holds {array.size} values, the shape says {count}")
    return array


def _from_typed_field(proto: tensor_pb2.TensorProto, count: int) -> np.ndarray:
    """Values beyond the shape are dropped, a short list repeats its last value, an empty one is zeros."""
    field = _TYPED_FIELD[proto.dtype]
    if proto.dtype == types_pb2.DT_STRING:
        values = list(proto.string_val[:count])
        return _strings(values + [values[-1] if values else b""] * (count - len(values)))
    numpy_type = dtypes.to_numpy(proto.dtype)
    if field == "float8_val":
        given = np.frombuffer(proto.float8_val[:count], numpy_type)
    elif field == "half_val":
        given = np.array(proto.half_val[:count], np.int64).astype(np.uint16).view(numpy_type)
    elif field == "int_val":
        given = np.array(proto.int_val[:count], np.int64).astype(numpy_type)
    elif field in ("scomplex_val", "dcomplex_val"):
        parts = np.array(getattr(proto, field)[:2 * count], _ON_THE_WIRE[field])
        given = parts[:parts.size // 2 * 2].view(numpy_type)
    else:
        given = np.array(getattr(proto, field)[:count], numpy_type)
    if given.size == count:
        return given
    filler = given[-1] if given.size else numpy_type(0)
    return np.concatenate([given, np.full(count - given.size, filler, numpy_type)])


def _strings(values: List[bytes]) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _string_list(content: bytes, count: int) -> List[bytes]:
    """Strings in tensor_content: all lengths as varints, then all bytes."""
    lengths: List[int] = []
    position = 0
    while len(lengths) < count:
        length = shift = 0
        while True:
            if position >= len(content):
                raise ValueError("tensor_content ends inside its string lengths")
            byte = content[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths.append(length)
    if position + sum(lengths) != len(content):
        raise ValueError("tensor_content does not hold as many bytes as its string lengths say")
    values = []
    for length in lengths:
        values.append(content[position:position + length])
        position += length
    return values


def _packed(field_number: int, flat: Any) -> bytes:
    """One packed field of a serialized message: tag, length, bytes."""
    payload = flat.astype(flat.dtype.newbyteorder("<"), copy=False).tobytes()
    length, rest = [], len(payload)
    while rest > 0x7F:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    return struct.pack("B", field_number << 3 | 2) + bytes([*length, rest]) + payload
