"""TensorFlow's data types: the names in the server's messages and numpy's counterparts."""

from __future__ import annotations

from typing import Any, Dict

import numpy as np
from tensorflow.core.framework import types_pb2
from tensorflow.python.framework import dtypes as tf_dtypes

_REFERENCE = 100
"""DT_FLOAT_REF is DT_FLOAT + 100, and so on: TF1 graphs have such types."""


def name(dtype: int) -> str:
    """`float`, `double`, `int64`, … as DataTypeString prints a DataType."""
    plain = dtype % _REFERENCE
    if plain not in types_pb2.DataType.values():
        return "unknown dtype enum"
    text = types_pb2.DataType.Name(plain)[len("DT_"):].lower()
    return text + "_ref" if dtype > _REFERENCE else text


def to_numpy(dtype: int) -> Any:
    """The numpy type of a DataType; object for strings. Raises KeyError for types that numpy lacks."""
    return _NUMPY[dtype % _REFERENCE]


def from_numpy(array: np.ndarray) -> int:
    """The DataType of an array; objects are strings."""
    if array.dtype == object:
        return int(types_pb2.DT_STRING)
    return int(tf_dtypes.as_dtype(array.dtype).as_datatype_enum)


_NUMPY: Dict[int, Any] = {
    types_pb2.DT_FLOAT: np.float32,
    types_pb2.DT_DOUBLE: np.float64,
    types_pb2.DT_INT8: np.int8,
    types_pb2.DT_INT16: np.int16,
    types_pb2.DT_INT32: np.int32,
    types_pb2.DT_INT64: np.int64,
    types_pb2.DT_UINT8: np.uint8,
    types_pb2.DT_UINT16: np.uint16,
    types_pb2.DT_UINT32: np.uint32,
    types_pb2.DT_UINT64: np.uint64,
    types_pb2.DT_BOOL: np.bool_,
    types_pb2.DT_STRING: np.object_,
    types_pb2.DT_HALF: np.float16,
    types_pb2.DT_BFLOAT16: tf_dtypes.bfloat16.as_numpy_dtype,
    types_pb2.DT_COMPLEX64: np.complex64,
    types_pb2.DT_COMPLEX128: np.complex128,
    types_pb2.DT_FLOAT8_E5M2: tf_dtypes.float8_e5m2.as_numpy_dtype,
    types_pb2.DT_FLOAT8_E4M3FN: tf_dtypes.float8_e4m3fn.as_numpy_dtype,
    types_pb2.DT_INT4: tf_dtypes.int4.as_numpy_dtype,
    types_pb2.DT_UINT4: tf_dtypes.uint4.as_numpy_dtype,
}
