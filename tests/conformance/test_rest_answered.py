"""What REST answers with 200, perhaps against expectation: the two formats, numbers, bytes, layout."""

from __future__ import annotations

import gzip
import json
import math
from typing import Any

import httpx
import pytest

from tests.conformance.asking import SUM_ROW, one, post, post_text
from tests.fixtures_serving import Address


def test_rows(server: Address) -> None:
    # score: 1 + 2 + 3 and 0.5 + 0.25 - 1; letters: three and none
    other = '{"x": [0.5, 0.25], "ids": -1, "name": ""}'
    assert post(server, "sum:predict", f'{{"instances": [{SUM_ROW}, {other}]}}') == (
        200, {"predictions": [{"score": 6.0, "letters": 3}, {"score": -0.25, "letters": 0}]}
    )


def test_columns(server: Address) -> None:
    body = '{"inputs": {"x": [[1, 2], [0.5, 0.25]], "ids": [3, -1], "name": ["abc", ""]}}'
    assert post(server, "sum:predict", body) == (200, {"outputs": {"score": [6.0, -0.25], "letters": [3, 0]}})


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ('"instances": [[1, 2], [3, 4]]', {"predictions": [21.0, 43.0]}),
        ('"instances": [{"x": [1, 2]}]', {"predictions": [21.0]}),
        ('"inputs": [[1, 2]]', {"outputs": [21.0]}),
        ('"inputs": {"x": [[1, 2]]}', {"outputs": [21.0]}),
    ],
    ids=["rows", "named rows", "columns", "named columns"],
)
def test_lone_input_needs_no_name_and_lone_output_has_none(server: Address, value: str, answer: Any) -> None:
    assert post(server, "sum:predict", one(value)) == (200, answer)  # 1 + 10 * 2, 3 + 10 * 4


def test_extra_column_is_ignored(server: Address) -> None:
    assert post(server, "sum:predict", one('"inputs": {"x": [[1, 2]], "q": [1]}')) == (200, {"outputs": [21.0]})


def test_inner_dimension_is_the_graph_s_alone(server: Address) -> None:
    # [1, 3] where [None, 2] is declared: 1 + 2 + 4 + 3
    body = '{"inputs": {"x": [[1, 2, 4]], "ids": [3], "name": ["abc"]}}'
    assert post(server, "sum:predict", body) == (200, {"outputs": {"score": [10.0], "letters": [3]}})
    code, answer = post(server, "sum:predict", one('"inputs": [[1, 2, 3]]'))  # this graph multiplies by [2, 1]
    assert code == 400 and answer["error"].startswith("Matrix size-incompatible: In[0]: [1,3], In[1]: [2,1]")


def test_columns_of_unequal_length_broadcast(server: Address) -> None:
    body = '{"inputs": {"x": [[1, 2]], "ids": [3, 4], "name": ["abc"]}}'
    assert post(server, "sum:predict", body) == (200, {"outputs": {"score": [6.0, 7.0], "letters": [3]}})


def test_nan_and_infinity_travel_bare(server: Address) -> None:
    body = '{"signature_name": "float32", "inputs": [NaN, Infinity, -Inf, -Infinity]}'
    text = post_text(server, "echo:predict", body)
    assert "NaN" in text and "-Infinity" in text and '"NaN"' not in text
    nan, *infinite = json.loads(text)["outputs"]
    assert math.isnan(nan) and infinite == [math.inf, -math.inf, -math.inf]


def test_wrong_content_type_is_accepted(server: Address) -> None:
    headers = {"Content-Type": "text/plain"}
    assert post(server, "sum:predict", one('"inputs": [[1, 2]]'), headers=headers)[0] == 200


def test_duplicate_keys_are_accepted(server: Address) -> None:
    body = one('"inputs": [[1, 2]], "inputs": [[5, 5]]')
    assert post(server, "sum:predict", body) == (200, {"outputs": [21.0]})


def test_order_of_output_keys_is_free(server: Address) -> None:
    # The real server's varies from call to call: who reads the answer goes by name, as this comparison does.
    answers = [post(server, "sum:predict", f'{{"instances": [{SUM_ROW}]}}')[1] for _ in range(5)]
    assert answers == [{"predictions": [{"letters": 3, "score": 6.0}]}] * 5


@pytest.mark.parametrize(
    ("number", "printed"),
    [
        ("0.2", "0.2"), ("1", "1.0"), ("9000000", "9e+06"), ("0.00003", "3e-05"), ("16777215", "16777215.0"),
        ("0.123456789", "0.123456791"), ("-0.0", "-0.0"), ("1234567", "1234567.0"), ("3.4028234e38", "3.40282347e+38"),
        ("1.5e-37", "1.5e-37"),
    ],
)
def test_floats_print_without_noise(server: Address, number: str, printed: str) -> None:
    body = f'{{"signature_name": "float32", "inputs": {number}}}'
    assert post_text(server, "echo:predict", body) == f'{{\n    "outputs": {printed}\n}}'


@pytest.mark.parametrize(("number", "printed"), [("0.1", "0.1"), ("1", "1.0"), ("1e300", "1e+300"), ("0.125", "0.125")])
def test_doubles_print_without_noise(server: Address, number: str, printed: str) -> None:
    body = f'{{"signature_name": "float64", "inputs": {number}}}'
    assert post_text(server, "echo:predict", body) == f'{{\n    "outputs": {printed}\n}}'


def test_layout(server: Address) -> None:
    text = post_text(server, "echo:predict", '{"signature_name": "float32", "instances": [[1, 2], [3, 4]]}')
    assert text == '{\n    "predictions": [[1.0, 2.0], [3.0, 4.0]\n    ]\n}'
    text = post_text(server, "echo:predict", '{"signature_name": "int32", "inputs": [[1], [2]]}')
    lists = "[\n        [\n            1\n        ],\n        [\n            2\n        ]\n    ]"
    assert text == f'{{\n    "outputs": {lists}\n}}'
    assert post_text(server, "sum:predict", "") == '{\n    "error": "JSON Parse error: The document is empty"\n}'


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        ("int8", "-128", -128), ("int16", "32767", 32767), ("int32", "-2147483648", -(2**31)),
        ("int64", "9223372036854775807", 2**63 - 1), ("uint8", "255", 255), ("uint32", "4294967295", 2**32 - 1),
        ("uint64", "18446744073709551615", 2**64 - 1), ("bool", "true", True), ("string", '"é\\u0001\\"/"', 'é\x01"/'),
        ("float64", "0.1", 0.1), ("float32", "-3.5", -3.5),
    ],
)
def test_type(server: Address, dtype: str, value: str, expected: Any) -> None:
    head = f'{{"signature_name": "{dtype}",'
    columns, rows = f'{head} "inputs": [{value}, {value}]}}', f'{head} "instances": [{value}]}}'
    assert post(server, "echo:predict", columns) == (200, {"outputs": [expected] * 2})
    assert post(server, "echo:predict", rows) == (200, {"predictions": [expected]})
    scalar = f'{head} "inputs": {value}}}'
    assert post(server, "echo:predict", scalar) == (200, {"outputs": expected})


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("int32", "2147483648"), ("int64", "9223372036854775808"), ("uint32", "-1"), ("uint64", "-1"), ("bool", "1"),
     ("string", "1"), ("float32", "null"), ("int32", '"1"'), ("string", "null"), ("bool", '"true"')],
)
def test_value_of_another_type_is_refused(server: Address, dtype: str, value: str) -> None:
    code, body = post(server, "echo:predict", f'{{"signature_name": "{dtype}", "inputs": [{value}]}}')
    assert code == 400 and body["error"].endswith(f"is not of expected type: {dtype.replace('float32', 'float')}")


@pytest.mark.parametrize("value", ["16777216", "-16777216", "1e39", "-1e39"])
def test_number_that_a_float_cannot_hold_is_refused(server: Address, value: str) -> None:
    code, body = post(server, "echo:predict", f'{{"signature_name": "float32", "inputs": [{value}]}}')
    assert code == 400 and body["error"].endswith("to float without loss of precision.")


def test_bytes_come_back_as_they_went(server: Address) -> None:
    # 0xff 0x00 is no text: it goes in as base64 and comes out as base64 from an alias that ends in _bytes.
    assert post(server, "echo:predict", '{"signature_name": "bytes", "inputs": [{"b64": "/wA="}]}') == (
        200, {"outputs": [{"b64": "/wA="}]}
    )
    assert post(server, "echo:predict", '{"signature_name": "bytes", "inputs": ["text"]}') == (
        200, {"outputs": [{"b64": "dGV4dA=="}]}
    )


def test_gzip_body_is_decoded(server: Address) -> None:
    body = gzip.compress(one('"inputs": [[1, 2]]').encode())
    assert post(server, "sum:predict", body, headers={"Content-Encoding": "gzip"}) == (200, {"outputs": [21.0]})


def test_every_input_is_demanded_though_it_has_a_default(server: Address) -> None:
    assert post(server, "default:predict", '{"inputs": {"x": [2.0]}}') == (
        400, {"error": "Missing named input: factor in 'inputs' object."}
    )
    assert post(server, "default:predict", '{"inputs": {"x": [2.0], "factor": 5.0}}') == (200, {"outputs": [10.0]})


def test_models_are_apart(server: Address) -> None:
    # (5 + 7) * (1 + 0.5): the third is beyond the length
    row = '{"history": [5, 7, 9], "history_rating": [0.5, 0, 9], "history_length": 2}'
    assert post(server, "ragged:predict", f'{{"instances": [{row}]}}') == (200, {"predictions": [18.0]})


def test_answer_is_json_whatever_the_code(server: Address) -> None:
    for body in (one('"inputs": [[1, 2]]'), "{"):
        answer = httpx.post(f"{server.url}/v1/models/sum:predict", content=body, trust_env=False)
        assert answer.headers["content-type"] == "application/json"
