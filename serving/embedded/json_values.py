"""One tensor of a REST request from its JSON value.

A well-formed value takes the fast road, level by level in C. Whatever is out of order takes the exact road, value by
value as the real server does, so that the error names the same value, level and size.
"""

from __future__ import annotations

import base64
import re
from itertools import chain
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
from tensorflow.core.framework import types_pb2

from serving.embedded import dtypes, json_text
from serving.embedded.errors import StatusError, invalid_argument

_INTEGERS: Dict[int, Tuple[int, int]] = {
    types_pb2.DT_INT8: (-(2**31), 2**31 - 1),  # the real server checks for int32 and then wraps: 300 is 44 for uint8
    types_pb2.DT_INT16: (-(2**31), 2**31 - 1),
    types_pb2.DT_INT32: (-(2**31), 2**31 - 1),
    types_pb2.DT_UINT8: (-(2**31), 2**31 - 1),
    types_pb2.DT_INT64: (-(2**63), 2**63 - 1),
    types_pb2.DT_UINT32: (0, 2**32 - 1),
    types_pb2.DT_UINT64: (0, 2**64 - 1),
}
_FLOATS: Dict[int, Tuple[str, int, float]] = {
    types_pb2.DT_FLOAT: ("float", 2**24 - 1, float(np.finfo(np.float32).max)),
    types_pb2.DT_DOUBLE: ("double", 2**53 - 1, float(np.finfo(np.float64).max)),
}
"""Name, the largest exact integer, the largest number."""
_WHITE_SPACE = re.compile(r"[ \t\n\v\f\r]")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*")


def tensor(value: Any, dtype: int) -> np.ndarray:
    """The array of a value, or a list of lists of values, to any depth. Raises StatusError."""
    array = fast(value, dtype)
    return array if array is not None else exact(value, dtype)


def fast(value: Any, dtype: int) -> Any:
    """The array when every list of a level has the same length and every value is of the plainest type, else None."""
    shape: List[int] = []
    flat: Sequence[Any] = [value]
    while set(map(type, flat)) == {list}:
        lengths = set(map(len, flat))
        if len(lengths) > 1:
            return None
        shape.append(lengths.pop())
        flat = list(chain.from_iterable(flat))
    kinds = set(map(type, flat))
    if dtype == types_pb2.DT_STRING and kinds <= {str}:
        return _objects([raw(text) for text in flat], shape)
    if dtype == types_pb2.DT_BOOL and kinds <= {bool}:
        return np.array(flat, np.bool_).reshape(shape)
    if dtype in _INTEGERS and kinds <= {int}:
        return _fast_integers(flat, dtype, shape)
    if dtype in _FLOATS and kinds <= {float, int}:
        return _fast_floats(flat, dtype, shape)
    return None


def _fast_integers(flat: Sequence[int], dtype: int, shape: List[int]) -> Any:
    low, high = _INTEGERS[dtype]
    if flat and (min(flat) < low or max(flat) > high):
        return None
    wide = np.uint64 if dtype == types_pb2.DT_UINT64 else np.int64
    return np.array(flat, wide).astype(dtypes.to_numpy(dtype)).reshape(shape)


def _fast_floats(flat: Sequence[Any], dtype: int, shape: List[int]) -> Any:
    _, largest_integer, largest = _FLOATS[dtype]
    integers = [value for value in flat if type(value) is int]
    array = np.array(flat, np.float64)
    too_large = np.isfinite(array) & (np.abs(array) > largest)
    if too_large.any() or (integers and max(map(abs, integers)) > largest_integer):
        return None
    return array.astype(dtypes.to_numpy(dtype)).reshape(shape)


def exact(value: Any, dtype: int) -> np.ndarray:
    """The same array as `fast`, or the error of the first value that is out of order. Raises StatusError."""
    shape = _dense_shape(value)
    flat: List[Any] = []
    _fill(value, 0, dtype, shape, flat)
    if dtype == types_pb2.DT_STRING:
        return _objects(flat, shape)
    wide = {types_pb2.DT_UINT64: np.uint64, types_pb2.DT_BOOL: np.bool_}.get(
        dtype, np.float64 if dtype in _FLOATS else np.int64
    )
    return np.array(flat, wide).astype(dtypes.to_numpy(dtype)).reshape(shape)


def _dense_shape(value: Any) -> List[int]:
    """The lengths met on the way down the first elements."""
    shape: List[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def _fill(value: Any, level: int, dtype: int, shape: List[int], flat: List[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid_argument(f"JSON Value: {json_text.quoted(value)} found at incorrect level: {level + 1} "
                                   f"in the JSON DOM. Expected at level: {len(shape)}")
        flat.append(_value(value, dtype))
        return
    if level >= len(shape):
        raise invalid_argument(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid_argument(f"Encountered list at unexpected size: {len(value)} at level: {level} "
                               f"expected size: {shape[level]}")
    for element in value:
        _fill(element, level + 1, dtype, shape, flat)


def _value(value: Any, dtype: int) -> Any:
    if isinstance(value, dict):
        if dtype == types_pb2.DT_STRING:
            return from_base64(value)
        raise _type_error(value, dtype)
    if dtype in _FLOATS:
        return _float(value, dtype)
    if dtype in _INTEGERS:
        low, high = _INTEGERS[dtype]
        if type(value) is not int or not low <= value <= high:
            raise _type_error(value, dtype)
        return value
    if dtype == types_pb2.DT_STRING and isinstance(value, str):
        return raw(value)
    if dtype == types_pb2.DT_BOOL and isinstance(value, bool):
        return value
    if dtype in (types_pb2.DT_STRING, types_pb2.DT_BOOL):
        raise _type_error(value, dtype)
    raise StatusError("UNIMPLEMENTED", f"Conversion of JSON Value: {json_text.quoted(value)} "
                      f"to type: {dtypes.name(dtype)}")


def _float(value: Any, dtype: int) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _type_error(value, dtype)
    name, largest_integer, largest = _FLOATS[dtype]
    is_integer = isinstance(value, int) and -(2**63) <= value < 2**64
    limit = largest_integer if is_integer else largest
    if np.isfinite(float(value)) and abs(value) > limit:
        raise invalid_argument(f"Cannot convert JSON value: {json_text.quoted(value)} to {name} "
                               "without loss of precision.")
    return float(value)


def from_base64(value: Dict[str, Any]) -> bytes:
    """The bytes in `{"b64": "…"}`: standard alphabet, white space ignored, padding none or just right, by = or dots."""
    if not is_base64(value):
        raise invalid_argument(f"JSON Value: {json_text.quoted(value)} not formatted correctly for base64 data")
    text = _WHITE_SPACE.sub("", value["b64"])
    digits = text.rstrip("=.")
    padding = -len(digits) % 4
    if padding == 3 or len(text) - len(digits) not in (0, padding) or not _BASE64.fullmatch(digits):
        raise invalid_argument("Unable to base64 decode")
    return base64.b64decode(digits + "=" * padding)


def is_base64(value: Any) -> bool:
    """True for an object that stands for bytes."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def raw(text: str) -> bytes:
    """The bytes that a string of a request came as."""
    return text.encode("utf-8", "surrogateescape")


def _objects(values: List[bytes], shape: List[int]) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(shape)


def type_name(value: Any) -> str:
    """`Object`, `Number`, … as the error texts call the type of a JSON value."""
    if isinstance(value, bool):
        return "True" if value else "False"
    names = {dict: "Object", list: "Array", str: "String", int: "Number", float: "Number", type(None): "Null"}
    return names[type(value)]


def _type_error(value: Any, dtype: int) -> StatusError:
    return invalid_argument(f"JSON Value: {json_text.quoted(value)} Type: {type_name(value)} "
                            f"is not of expected type: {dtypes.name(dtype)}")
