"""Any value of any type travels the same: REST rows, REST columns, gRPC tensor_content, gRPC typed fields."""

from __future__ import annotations

import base64
import json
from typing import Any, Dict, List

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.asking import Stubs, content, post, predict_request, typed
from tests.fixtures_serving import Address, same

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64")
JSON_TYPES = ("float32", "float64", *INTEGERS, "bool", "string", "bytes")
_ULPS = 4
"""RapidJSON reads a double to within a few units in the last place; a float32 survives that exactly."""

_examples = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def values(dtype: str, size: int) -> st.SearchStrategy[List[Any]]:
    """Lists of `size` values of a type, as Python has them; bytes for text, which for `string` is UTF-8."""
    one: st.SearchStrategy[Any]
    if dtype in (*INTEGERS, "uint16"):
        limits = np.iinfo(dtype)
        one = st.integers(int(limits.min), int(limits.max))
    elif dtype == "bool":
        one = st.booleans()
    elif dtype == "bytes":
        one = st.binary(max_size=20)
    elif dtype == "string":
        one = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20).map(str.encode)
    else:
        one = st.floats(width=32 if dtype == "float32" else 64, allow_subnormal=False)
    return st.lists(one, min_size=size, max_size=size)


@st.composite
def arrays(draw: Any, dtypes: Any, smallest: int) -> Any:
    """A type's name and an array of it, of one to three dimensions of `smallest` to 3."""
    dtype = draw(st.sampled_from(dtypes))
    shape = draw(st.lists(st.integers(smallest, 3), min_size=1, max_size=3))
    drawn = draw(values(dtype, int(np.prod(shape))))
    if dtype in ("string", "bytes"):
        array = np.empty(len(drawn), object)
        array[:] = drawn
    else:
        array = np.array(drawn, dtype)
    return dtype, array.reshape(shape)


@_examples
@given(drawn=arrays(JSON_TYPES, 1))
def test_four_ways_are_one(server: Address, stubs: Stubs, drawn: Any) -> None:
    dtype, array = drawn
    alias = "raw_bytes" if dtype == "bytes" else "v"
    assert same(over_rest(server, dtype, "inputs", array), array)
    assert same(over_rest(server, dtype, "instances", array), array)
    assert same(over_grpc(stubs, dtype, typed(array), alias), array)
    if array.dtype != object:
        assert same(over_grpc(stubs, dtype, content(array), alias), array)


@_examples
@given(drawn=arrays([*JSON_TYPES, "uint16"], 0))
def test_empty_dimensions_travel_over_grpc(stubs: Stubs, drawn: Any) -> None:
    dtype, array = drawn
    alias = "raw_bytes" if dtype == "bytes" else "v"
    assert same(over_grpc(stubs, dtype, typed(array), alias), array)
    if array.dtype != object:
        assert same(over_grpc(stubs, dtype, content(array), alias), array)


@_examples
@given(data=st.data())
def test_half_precision_travels_over_grpc(stubs: Stubs, data: Any) -> None:
    import tensorflow as tf

    dtype = data.draw(st.sampled_from(["float16", "bfloat16"]))
    bits = data.draw(st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=6))
    array = np.array(bits, np.uint16).view(tf.as_dtype(dtype).as_numpy_dtype)
    for proto in (typed(array), content(array)):
        back = over_grpc(stubs, dtype, proto, "v")
        # Bit for bit, a NaN's payload included: nothing is computed on the way.
        assert back.dtype == array.dtype and back.view(np.uint16).tolist() == bits


@_examples
@given(drawn=arrays(INTEGERS, 1), cut=st.integers(0, 30))
def test_a_short_list_repeats_its_last_value(stubs: Stubs, drawn: Any, cut: int) -> None:
    dtype, array = drawn
    proto = typed(array)
    field = {"int64": "int64_val", "uint32": "uint32_val", "uint64": "uint64_val"}.get(dtype, "int_val")
    kept = getattr(proto, field)
    del kept[max(0, len(kept) - cut):]
    flat = array.reshape(-1).copy()
    flat[len(kept):] = flat[len(kept) - 1] if kept else 0
    assert same(over_grpc(stubs, dtype, proto, "v"), flat.reshape(array.shape))


def over_rest(server: Address, dtype: str, form: str, array: np.ndarray) -> np.ndarray:
    """What comes back from the echo of a type, as rows or as columns."""
    code, body = post(server, "echo:predict", {"signature_name": dtype, form: jsonable(array, dtype)})
    assert code == 200, body
    (answer,) = body.values()
    if dtype not in ("string", "bytes"):
        back = np.array(answer, array.dtype)
        if dtype != "float64" or server.kind == "embedded":
            return back
        np.testing.assert_array_max_ulp(back, array, _ULPS)
        return np.where(np.isnan(array), back, array) if back.shape == array.shape else back
    back = np.empty(array.size, object)
    back[:] = [text_of(cell) for cell in flattened(answer, array.ndim)]
    return back.reshape(array.shape)


def over_grpc(stubs: Stubs, dtype: str, proto: Any, alias: str) -> np.ndarray:
    """What comes back from the echo of a type for one tensor."""
    request = predict_request("echo", dtype)
    request.inputs["v"].CopyFrom(proto)
    return stubs.predict(request)[alias]


def jsonable(array: np.ndarray, dtype: str) -> Any:
    """The nested lists of an array, with bytes as text or as base64."""
    def cell(value: Any) -> Any:
        if isinstance(value, list):
            return [cell(each) for each in value]
        if not isinstance(value, bytes):
            return value
        return {"b64": base64.b64encode(value).decode()} if dtype == "bytes" else value.decode()

    return cell(array.tolist())


def flattened(answer: Any, depth: int) -> List[Any]:
    """The cells of lists nested `depth` deep."""
    return [answer] if depth == 0 else [cell for each in answer for cell in flattened(each, depth - 1)]


def text_of(cell: Any) -> bytes:
    """The bytes of a string, or of an object that holds base64."""
    kept: Dict[str, str] = cell if isinstance(cell, dict) else {}
    return base64.b64decode(kept["b64"]) if kept else cell.encode("utf-8", "surrogateescape")


def test_the_comparison_sees_a_difference() -> None:
    # The property above is only as good as `same` and these helpers: what differs must be told.
    array = np.array([[1.0, np.nan]], np.float32)
    assert same(array, array.copy()) and not same(array, array.T)
    assert not same(array, np.array([[1.0, 2.0]], np.float32)) and not same(array, array.astype(np.float64))
    assert jsonable(np.array([b"\xff"], object), "bytes") == [{"b64": "/w=="}]
    assert json.loads(json.dumps(jsonable(np.array([[1, 2]], np.int8), "int8"))) == [[1, 2]]
    with pytest.raises(AssertionError):
        np.testing.assert_array_max_ulp(np.array([1.0]), np.array([1.000000001]), _ULPS)
