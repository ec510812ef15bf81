"""The tensors of a REST predict request: rows (`instances`) or columns (`inputs`), with the real server's errors.

A well-formed tensor takes the fast road, level by level in C. Whatever is out of order takes the exact road, value by
value as the real server does, so that the error names the same value, level and size.
"""

from __future__ import annotations

import base64
import binascii
from itertools import chain
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from serving.embedded import dtypes, json_writer
from serving.embedded.errors import StatusError, invalid_argument

Infos = Mapping[str, meta_graph_pb2.TensorInfo]

ROWS, COLUMNS = "rows", "columns"

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


def read(document: Mapping[str, Any], infos: Infos) -> Tuple[str, Dict[str, np.ndarray]]:
    """ROWS or COLUMNS, and the arrays by alias. Raises StatusError."""
    if "instances" in document and "inputs" in document:
        problem = "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
        raise _format_error(document, problem)
    if "instances" in document:
        rows = document["instances"]
        if not isinstance(rows, list):
            raise _format_error(document, "Excepting 'instances' to be an list/array")
        if not rows:
            raise _format_error(document, "No values in 'instances' array")
        return ROWS, _from_rows(rows, infos)
    if "inputs" in document:
        return COLUMNS, _from_columns(document["inputs"], infos)
    raise invalid_argument("Missing 'inputs' or 'instances' key")


def _from_columns(value: Any, infos: Infos) -> Dict[str, np.ndarray]:
    if not _is_named(value):
        if len(infos) > 1:
            raise invalid_argument("inputs is a plain value/list, but expecting an object as multiple input tensors "
                                   "required as per tensorinfo_map")
        return {alias: _tensor(value, info.dtype) for alias, info in infos.items()}
    for alias in infos:
        if alias not in value:
            raise invalid_argument(f"Missing named input: {alias} in 'inputs' object.")
    return {alias: _tensor(value[alias], info.dtype) for alias, info in infos.items()}


def _from_rows(rows: List[Any], infos: Infos) -> Dict[str, np.ndarray]:
    if not isinstance(rows[0], dict) and len(infos) > 1:
        raise invalid_argument("instances is a plain list, but expecting list of objects as multiple input tensors "
                               "required as per tensorinfo_map")
    named = _is_named(rows[0])
    fast = _named_rows(rows, infos) if named else _unnamed_rows(rows, infos)
    return fast if fast is not None else _exact_rows(rows, infos, named)


def _named_rows(rows: List[Any], infos: Infos) -> Any:
    """The arrays, or None when anything at all is out of order."""
    if set(map(type, rows)) != {dict} or any(row.keys() != infos.keys() for row in rows):
        return None
    found = {alias: _fast([row[alias] for row in rows], info.dtype) for alias, info in infos.items()}
    return None if any(array is None for array in found.values()) else found


def _unnamed_rows(rows: List[Any], infos: Infos) -> Any:
    if any(map(_is_named, rows)):
        return None
    (alias, info), = list(infos.items())[:1]
    array = _fast(rows, info.dtype)
    return None if array is None else {alias: array}


def _exact_rows(rows: List[Any], infos: Infos, named: bool) -> Dict[str, np.ndarray]:
    cells: Dict[str, List[np.ndarray]] = {}
    for number, row in enumerate(rows):
        if named and not _is_named(row):
            raise invalid_argument(f"Expecting object but got list at item {number} of input list")
        if not named and _is_named(row):
            raise invalid_argument(f"Expecting value/list but got object at item {number} of input list")
        members = row if named else {next(iter(infos)): row}
        for alias, value in members.items():
            try:
                _add(cells, alias, value, infos)
            except StatusError as error:
                key = f" key: {alias}" if named else ""
                raise invalid_argument(f"Failed to process element: {number}{key} of 'instances' list. "
                                       f"Error: {error}") from error
        if named and members.keys() != infos.keys():
            raise invalid_argument(f"Failed to process element: {number} of 'instances' list. JSON object: "
                                   f"{json_writer.quoted(row)} keys must be equal to: {','.join(sorted(infos))}")
    return {alias: np.stack(arrays) for alias, arrays in cells.items()}


def _add(cells: Dict[str, List[np.ndarray]], alias: str, value: Any, infos: Infos) -> None:
    if alias not in infos:
        raise invalid_argument(f"JSON object: does not have named input: {alias}")
    array = _tensor(value, infos[alias].dtype)
    others = cells.setdefault(alias, [])
    if others and others[0].size != array.size:
        raise invalid_argument(f"Expecting tensor size: {others[0].size} but got: {array.size}")
    if others and others[0].shape != array.shape:
        raise invalid_argument(f"Expecting shape {_shape(others[0])} but got: {_shape(array)}")
    others.append(array)


def _tensor(value: Any, dtype: int) -> np.ndarray:
    fast = _fast(value, dtype)
    return fast if fast is not None else _exact(value, dtype)


def _fast(value: Any, dtype: int) -> Any:
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
        return _objects([_raw(text) for text in flat], shape)
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
    _, exact, largest = _FLOATS[dtype]
    integers = [value for value in flat if type(value) is int]
    array = np.array(flat, np.float64)
    too_large = np.isfinite(array) & (np.abs(array) > largest)
    if too_large.any() or (integers and max(map(abs, integers)) > exact):
        return None
    return array.astype(dtypes.to_numpy(dtype)).reshape(shape)


def _exact(value: Any, dtype: int) -> np.ndarray:
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
            raise invalid_argument(f"JSON Value: {json_writer.quoted(value)} found at incorrect level: {level + 1} "
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
            return _from_base64(value)
        raise _type_error(value, dtype)
    if dtype in _FLOATS:
        return _float(value, dtype)
    if dtype in _INTEGERS:
        low, high = _INTEGERS[dtype]
        if type(value) is not int or not low <= value <= high:
            raise _type_error(value, dtype)
        return value
    if dtype == types_pb2.DT_STRING and isinstance(value, str):
        return _raw(value)
    if dtype == types_pb2.DT_BOOL and isinstance(value, bool):
        return value
    if dtype in (types_pb2.DT_STRING, types_pb2.DT_BOOL):
        raise _type_error(value, dtype)
    raise StatusError("UNIMPLEMENTED", f"Conversion of JSON Value: {json_writer.quoted(value)} "
                      f"to type: {dtypes.name(dtype)}")


def _float(value: Any, dtype: int) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _type_error(value, dtype)
    name, exact, largest = _FLOATS[dtype]
    is_integer = isinstance(value, int) and -(2**63) <= value < 2**64
    limit = exact if is_integer else largest
    if np.isfinite(float(value)) and abs(value) > limit:
        raise invalid_argument(f"Cannot convert JSON value: {json_writer.quoted(value)} to {name} "
                               "without loss of precision.")
    return float(value)


def _from_base64(value: Dict[str, Any]) -> bytes:
    if not _is_base64(value):
        raise invalid_argument(f"JSON Value: {json_writer.quoted(value)} not formatted correctly for base64 data")
    text = "".join(value["b64"].split())
    try:
        # Padding may be missing, but not be wrong.
        padded = text if "=" in text else text + "=" * (-len(text) % 4)
        return base64.b64decode(padded.encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid_argument("Unable to base64 decode") from error


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _objects(values: List[bytes], shape: List[int]) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(shape)


def _shape(array: np.ndarray) -> str:
    return "[" + ",".join(map(str, array.shape)) + "]"


def _type_error(value: Any, dtype: int) -> StatusError:
    kind = {dict: "Object", list: "Array", str: "String", int: "Number", float: "Number", type(None): "Null"}
    told = {True: "True", False: "False"}[value] if isinstance(value, bool) else kind[type(value)]
    return invalid_argument(f"JSON Value: {json_writer.quoted(value)} Type: {told} "
                            f"is not of expected type: {dtypes.name(dtype)}")


def _format_error(document: Mapping[str, Any], text: str) -> StatusError:
    return invalid_argument(f"JSON Value: {json_writer.quoted(document)} {text}")
