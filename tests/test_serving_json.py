"""Reading and writing JSON as the real server does, without a server."""

from __future__ import annotations

import json
import math
from typing import Any, Dict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.embedded import json_reader, json_reader_exact, json_text, json_values, json_writer
from serving.embedded.errors import StatusError
from tests.fixtures_serving import same


def info(dtype: int) -> Any:
    from tensorflow.core.protobuf import meta_graph_pb2

    return meta_graph_pb2.TensorInfo(dtype=dtype)


FLOAT, DOUBLE, INT32, STRING, INT64, BOOL, UINT64 = 1, 2, 3, 7, 9, 10, 23


@pytest.mark.parametrize(
    ("body", "text", "offset"),
    [
        (b" ", "The document is empty.", 1),
        (b'{"a" 1}', "Missing a colon after a name of object member.", 5),
        (b'{"a":1 "b":2}', "Missing a comma or } after an object member.", 7),
        (b"[1 2]", "Missing a comma or ] after an array element.", 3),
        (b"[01]", "Missing a comma or ] after an array element.", 2),
        (b"[1,]", "Invalid value.", 3),
        (b"[tru]", "Invalid value.", 4),
        (b"[-]", "Invalid value.", 2),
        (b"[1.]", "Miss fraction part in number.", 3),
        (b"[1e+]", "Miss exponent in number.", 4),
        (b"[ 1e309]", "Number too big to be stored in double.", 2),
        (b'["a]', "Missing a closing quotation mark in string.", 4),
        (b'["a\\x"]', "Invalid escape character in string.", 3),
        (b'["\\u12g4"]', "Incorrect hex digit after \\u escape in string.", 2),
        (b'["\\ud800x"]', "The surrogate pair in string is invalid.", 2),
        (b"{} x", "The document root must not be followed by other values.", 3),
        (b"[Infinit]", "Invalid value.", 8),
    ],
)
def test_error_and_offset(body: bytes, text: str, offset: int) -> None:
    # Offsets counted by hand: where RapidJSON's stream stands when it gives up.
    with pytest.raises(json_reader_exact.JsonError) as caught:
        json_reader_exact.parse(body)
    assert (caught.value.text, caught.value.offset) == (text, offset)


def test_deep_nesting_is_an_error_of_the_request() -> None:
    for body in (b'{"inputs":' + b"[" * 100_000, b'{"a":1e999,"inputs":' + b"[" * 100_000):
        with pytest.raises(StatusError) as caught:
            json_reader.parse(body)
        assert caught.value.code == "INVALID_ARGUMENT"


def test_bytes_that_are_no_text_pass() -> None:
    assert json_reader.parse(b'{"a": "\xff"}')["a"].encode("utf-8", "surrogateescape") == b"\xff"


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(st.text(max_size=5), _VALUES, max_size=4), st.booleans())
def test_both_parsers_read_the_same(document: Dict[str, Any], ascii_only: bool) -> None:
    body = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    fast, exact = json_reader.parse(body), json_reader_exact.parse(body)
    assert repr(fast) == repr(exact)


_SHAPES = st.lists(st.integers(0, 3), max_size=3)
_CELLS = {
    FLOAT: st.floats(width=32) | st.integers(-(2**24) + 1, 2**24 - 1),
    DOUBLE: st.floats() | st.integers(-(2**53) + 1, 2**53 - 1),
    INT32: st.integers(-(2**31), 2**31 - 1),
    INT64: st.integers(-(2**63), 2**63 - 1),
    UINT64: st.integers(0, 2**64 - 1),
    BOOL: st.booleans(),
    STRING: st.text(),
}


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_fast_and_exact_road_read_the_same_tensors(data: Any) -> None:
    dtype = data.draw(st.sampled_from(sorted(_CELLS)))
    shape = data.draw(_SHAPES)
    value = _nested(shape, lambda: data.draw(_CELLS[dtype]))
    if 0 not in shape[:-1]:
        fast = json_values.fast(value, dtype)
        assert fast is not None
        assert same(fast, json_values.exact(value, dtype))
        assert list(fast.shape) == shape


def _nested(shape: Any, cell: Any) -> Any:
    return [_nested(shape[1:], cell) for _ in range(shape[0])] if shape else cell()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(deadline=None, max_examples=150)
@given(st.lists(st.floats(width=32), min_size=1))
def test_written_floats_read_back(dtype: Any, values: Any) -> None:
    array = np.array(values, dtype)
    written = json.loads(json_writer.columns({"y": array}))["outputs"]
    assert same(np.array(written, dtype), array)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1, "0.1"), (1e21, "1e21"), (1e20, "100000000000000000000.0"), (1e-6, "0.000001"), (1e-7, "1e-7"),
     (123.456, "123.456"), (-0.0, "-0.0"), (1.5e300, "1.5e300"), (-2.5e-10, "-2.5e-10")],
)
def test_quoted_doubles_look_like_rapidjson_s(value: float, text: str) -> None:
    assert json_text.shortest(value) == text


def test_layout_of_rows_and_columns() -> None:
    outputs = {"b_bytes": np.array([b"\xff", b""], object), "a": np.array([[1, 2], [3, 4]])}
    assert json_writer.rows(outputs).decode() == (
        '{\n    "predictions": [\n        {\n            "a": [1, 2],\n            "b_bytes": {\n'
        '                "b64": "/w=="\n            }\n        },\n        {\n            "a": [3, 4],\n'
        '            "b_bytes": {\n                "b64": ""\n            }\n        }\n    ]\n}'
    )
    assert json_writer.columns({"y": np.array([[1.5], [math.nan]])}).decode() == (
        '{\n    "outputs": [\n        [\n            1.5\n        ],\n        [\n            NaN\n        ]\n    ]\n}'
    )
