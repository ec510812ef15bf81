"""The REST API, row by row of what was observed on a real server; the same assertions run against both servers."""

from __future__ import annotations

import gzip
import json
import math
from typing import Any, Tuple

import httpx
import pytest

from tests.fixtures_serving import Address

ROW = '{"x": [1, 2], "ids": 3, "name": "abc"}'
IN_ROW_0 = "Failed to process element: 0 key: {} of 'instances' list. Error: INVALID_ARGUMENT: "


def post(address: Address, body: Any, path: str = "sum:predict", **options: Any) -> Tuple[int, Any]:
    content = body if isinstance(body, bytes) else body.encode()
    answer = httpx.post(f"{address.url}/v1/models/{path}", content=content, trust_env=False, timeout=30, **options)
    return answer.status_code, json.loads(answer.content.decode("utf-8", "surrogateescape"))


def one(value: str) -> str:
    """A request for the signature with one input and one output."""
    return f'{{"signature_name": "one", {value}}}'


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("{not json", "JSON Parse error: Missing a name for object member. at offset: 1"),
        ("", "JSON Parse error: The document is empty"),
        ("{}", "Missing 'inputs' or 'instances' key"),
        ('{"instances": []}', "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array"),
        (
            '{"instances": [{"x": [1, 2]}]}',
            "Failed to process element: 0 of 'instances' list. JSON object: {\n    \"x\": [\n        1,\n        2\n"
            "    ]\n} keys must be equal to: ids,name,x",
        ),
        (
            f'{{"instances": [{ROW[:-1]}, "q": 1}}]}}',
            IN_ROW_0.format("q") + "JSON object: does not have named input: q",
        ),
        ('{"inputs": {"ids": [1], "name": ["a"]}}', "Missing named input: x in 'inputs' object."),
        (
            '{"instances": [{"x": ["s", 2], "ids": 3, "name": "abc"}]}',
            IN_ROW_0.format("x") + 'JSON Value: "s" Type: String is not of expected type: float',
        ),
        (
            '{"instances": [{"x": [1, 2], "ids": 1.5, "name": "abc"}]}',
            IN_ROW_0.format("ids") + "JSON Value: 1.5 Type: Number is not of expected type: int64",
        ),
        (
            '{"instances": [{"x": [1, 2], "ids": 1.0, "name": "abc"}]}',
            IN_ROW_0.format("ids") + "JSON Value: 1.0 Type: Number is not of expected type: int64",
        ),
        (
            '{"instances": [{"x": [1, 2], "ids": true, "name": "abc"}]}',
            IN_ROW_0.format("ids") + "JSON Value: true Type: True is not of expected type: int64",
        ),
        (
            '{"instances": [{"x": [1, true], "ids": 1, "name": "abc"}]}',
            IN_ROW_0.format("x") + "JSON Value: true Type: True is not of expected type: float",
        ),
        (
            '{"instances": [{"x": [1, 2], "ids": 3, "name": {"b64": "*"}}]}',
            IN_ROW_0.format("name") + "Unable to base64 decode",
        ),
        (one('"inputs": [[1, 2], [3]]'), "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ('{"signature_name": "nope", "instances": [1]}', 'Serving signature name: "nope" not found in signature def'),
    ],
)
def test_bad_request_is_refused_with_the_observed_text(address: Address, body: str, text: str) -> None:
    assert post(address, body) == (400, {"error": text})


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("nope:predict", 404, "Servable not found for request: Latest(nope)"),
        ("sum/versions/99:predict", 404, "Servable not found for request: Specific(sum, 99)"),
        ("sum/labels/nolabel:predict", 400, "Unrecognized servable version label: nolabel"),
        ("sum:predict?a=b", 400, "Malformed request: POST /v1/models/sum:predict?a=b"),
        ("sum:dream", 400, "Malformed request: POST /v1/models/sum:dream"),
    ],
)
def test_unknown_target(address: Address, path: str, status: int, text: str) -> None:
    assert post(address, f'{{"instances": [{ROW}]}}', path) == (status, {"error": text})


def test_body_is_parsed_before_the_model_is_looked_up(address: Address) -> None:
    assert post(address, "", "nope:predict") == (400, {"error": "JSON Parse error: The document is empty"})


def test_wrong_method_is_malformed(address: Address) -> None:
    answer = httpx.get(f"{address.url}/v1/models/sum:predict", trust_env=False)
    assert (answer.status_code, answer.json()) == (400, {"error": "Malformed request: GET /v1/models/sum:predict"})


def test_unknown_path_is_a_page(address: Address) -> None:
    answer = httpx.post(f"{address.url}/v2/models/sum/infer", content=b"{}", trust_env=False)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "<H1>" in answer.text.upper()


def test_rows(address: Address) -> None:
    # 1 + 2 + 3 and three letters; 0.5 + 0.25 - 1 and none.
    other = '{"x": [0.5, 0.25], "ids": -1, "name": ""}'
    assert post(address, f'{{"instances": [{ROW}, {other}]}}') == (
        200, {"predictions": [{"score": 6.0, "letters": 3}, {"score": -0.25, "letters": 0}]}
    )


def test_columns(address: Address) -> None:
    body = '{"inputs": {"x": [[1, 2], [0.5, 0.25]], "ids": [3, -1], "name": ["abc", ""]}}'
    assert post(address, body) == (200, {"outputs": {"score": [6.0, -0.25], "letters": [3, 0]}})


def test_lone_input_needs_no_name_and_lone_output_has_none(address: Address) -> None:
    # y = x0 + 10 x1
    assert post(address, one('"instances": [[1, 2], [3, 4]]')) == (200, {"predictions": [21.0, 43.0]})
    assert post(address, one('"instances": [{"x": [1, 2]}]')) == (200, {"predictions": [21.0]})
    assert post(address, one('"inputs": [[1, 2]]')) == (200, {"outputs": [21.0]})
    assert post(address, one('"inputs": {"x": [[1, 2]]}')) == (200, {"outputs": [21.0]})


def test_version_in_the_path(address: Address) -> None:
    assert post(address, one('"inputs": [[1, 2]]'), "sum/versions/3:predict")[0] == 200


def test_extra_column_is_ignored(address: Address) -> None:
    assert post(address, one('"inputs": {"x": [[1, 2]], "q": [1]}')) == (200, {"outputs": [21.0]})


def test_declared_shapes_are_not_enforced(address: Address) -> None:
    # Three numbers where [None, 2] is declared, and two ids for one row: the graph can run both.
    body = '{"inputs": {"x": [[1, 2, 4]], "ids": [3, 4], "name": ["abc"]}}'
    assert post(address, body) == (200, {"outputs": {"score": [10.0, 11.0], "letters": [3]}})


def test_empty_columns_are_answered_and_empty_rows_refused(address: Address) -> None:
    assert post(address, '{"signature_name": "float32", "inputs": []}', "echo:predict") == (200, {"outputs": []})
    assert post(address, '{"signature_name": "float32", "instances": []}', "echo:predict")[0] == 400


def test_rows_need_outputs_of_equal_first_dimension(address: Address) -> None:
    status, body = post(address, '{"signature_name": "scalar", "instances": [[1, 2]]}')
    assert (status, body) == (400, {"error": "Tensor name: total has no shape information "})
    assert post(address, '{"signature_name": "scalar", "inputs": [[1, 2]]}') == (200, {"outputs": 3.0})


def test_nan_and_infinity_travel_bare(address: Address) -> None:
    body = '{"signature_name": "float32", "inputs": [NaN, Infinity, -Inf, -Infinity]}'
    answer = httpx.post(f"{address.url}/v1/models/echo:predict", content=body, trust_env=False)
    assert answer.status_code == 200
    nan, *infinite = json.loads(answer.text)["outputs"]
    assert math.isnan(nan) and infinite == [math.inf, -math.inf, -math.inf]


@pytest.mark.parametrize(
    ("number", "text"),
    [("1e400", "Number too big to be stored in double. at offset: 39"), ("1e-400", None), ("1.", "Miss fraction part")],
)
def test_numbers_at_the_edge(address: Address, number: str, text: Any) -> None:
    status, body = post(address, f'{{"signature_name": "float64","inputs":[{number}]}}', "echo:predict")
    assert (status == 200) if text is None else (status == 400 and text in body["error"])


@pytest.mark.parametrize(
    ("number", "printed"),
    [
        ("0.2", "0.2"), ("1", "1.0"), ("9000000", "9e+06"), ("0.00003", "3e-05"), ("16777215", "16777215.0"),
        ("0.123456789", "0.123456791"), ("-0.0", "-0.0"), ("1234567", "1234567.0"),
    ],
)
def test_floats_print_without_noise(address: Address, number: str, printed: str) -> None:
    body = f'{{"signature_name": "float32", "inputs": {number}}}'
    answer = httpx.post(f"{address.url}/v1/models/echo:predict", content=body, trust_env=False)
    assert answer.text == f'{{\n    "outputs": {printed}\n}}'


def test_layout_of_rows(address: Address) -> None:
    body = '{"signature_name": "float32", "instances": [[1, 2], [3, 4]]}'
    answer = httpx.post(f"{address.url}/v1/models/echo:predict", content=body, trust_env=False)
    assert answer.text == '{\n    "predictions": [[1.0, 2.0], [3.0, 4.0]\n    ]\n}'


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        ("int8", "-128", -128), ("int16", "32767", 32767), ("int32", "-2147483648", -(2**31)),
        ("int64", "9223372036854775807", 2**63 - 1), ("uint8", "300", 44), ("uint32", "4294967295", 2**32 - 1),
        ("uint64", "18446744073709551615", 2**64 - 1), ("bool", "true", True), ("string", '"é\\u0001\\"/"', 'é\x01"/'),
        ("float64", "0.1", 0.1), ("float32", "-3.5", -3.5),
    ],
)
def test_types_in_rows_and_columns(address: Address, dtype: str, value: str, expected: Any) -> None:
    head = f'{{"signature_name": "{dtype}",'
    assert post(address, head + f'"inputs": [{value}, {value}]}}', "echo:predict") == (200, {"outputs": [expected] * 2})
    assert post(address, head + f'"instances": [{value}]}}', "echo:predict") == (200, {"predictions": [expected]})


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("int32", "2147483648"), ("int64", "9223372036854775808"), ("uint32", "-1"), ("bool", "1"), ("string", "1"),
     ("float32", "null"), ("float32", "16777216"), ("float32", "1e39"), ("int32", '"1"')],
)
def test_value_of_another_type_is_refused(address: Address, dtype: str, value: str) -> None:
    status, body = post(address, f'{{"signature_name": "{dtype}", "inputs": [{value}]}}', "echo:predict")
    assert status == 400 and ("is not of expected type" in body["error"] or "without loss" in body["error"])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "uint16"])
def test_types_that_json_cannot_carry(address: Address, dtype: str) -> None:
    head = f'{{"signature_name": "{dtype}",'
    assert post(address, head + '"instances": [1]}', "echo:predict")[0] == 400
    assert post(address, head + '"inputs": [1]}', "echo:predict")[0] == 501


def test_base64(address: Address) -> None:
    # 0xff 0x00 is no text: it goes in as base64 and comes out as base64 only from an alias that ends in _bytes.
    assert post(address, '{"signature_name": "bytes", "inputs": [{"b64": "/wA="}]}', "echo:predict") == (
        200, {"outputs": [{"b64": "/wA="}]}
    )
    assert post(address, '{"signature_name": "bytes", "instances": [{"b64": "/wA"}]}', "echo:predict") == (
        200, {"predictions": [{"b64": "/wA="}]}
    )
    assert post(address, '{"signature_name": "bytes", "inputs": [{"b64": "_wA="}]}', "echo:predict")[0] == 400
    assert post(address, '{"signature_name": "string", "inputs": [{"b64": "/0E="}]}', "echo:predict") == (
        200, {"outputs": ["\udcffA"]}  # the raw byte, which is no UTF-8
    )


def test_first_of_duplicate_keys_wins(address: Address) -> None:
    assert post(address, one('"inputs": [[1, 2]], "inputs": [[5, 5]]')) == (200, {"outputs": [21.0]})


def test_byte_order_mark_and_wrong_content_type_and_gzip(address: Address) -> None:
    body = one('"inputs": [[1, 2]]').encode()
    assert post(address, b"\xef\xbb\xbf" + body)[0] == 200
    assert post(address, body, headers={"Content-Type": "text/plain"})[0] == 200
    assert post(address, gzip.compress(body), headers={"Content-Encoding": "gzip"}) == (200, {"outputs": [21.0]})


def test_path_ignores_case(address: Address) -> None:
    answer = httpx.get(f"{address.url}/V1/MODELS/sum", trust_env=False)
    assert answer.status_code == 200


def test_status(address: Address) -> None:
    available = {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("sum", "sum/versions/3", "sum/labels/ignored"):
        answer = httpx.get(f"{address.url}/v1/models/{path}", trust_env=False)
        assert (answer.status_code, answer.json()) == (200, {"model_version_status": [available]})


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/nope", 404, "Could not find any versions of model nope"),
        ("/sum/versions/99", 404, "Could not find version 99 of model sum"),
        ("", 400, "Missing model name in request."),
    ],
)
def test_status_of_the_unknown(address: Address, path: str, status: int, text: str) -> None:
    answer = httpx.get(f"{address.url}/v1/models{path}", trust_env=False)
    assert (answer.status_code, answer.json()) == (status, {"error": text})


def test_metadata(address: Address) -> None:
    answer = httpx.get(f"{address.url}/v1/models/sum/metadata", trust_env=False)
    assert answer.status_code == 200
    told = answer.json()
    assert told["model_spec"] == {"name": "sum", "signature_name": "", "version": "3"}
    signatures = told["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) == {"__saved_model_init_op", "serving_default", "one", "scalar"}
    x = signatures["serving_default"]["inputs"]["x"]
    assert x["dtype"] == "DT_FLOAT"
    assert x["tensor_shape"] == {"dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}], "unknown_rank": False}
    assert signatures["serving_default"]["method_name"] == "tensorflow/serving/predict"


def test_models_are_apart(address: Address) -> None:
    # ragged: (5 + 7) * (1 + 0.5)
    row = '{"history": [5, 7, 9], "history_rating": [0.5, 0, 9], "history_length": 2}'
    assert post(address, f'{{"instances": [{row}]}}', "ragged:predict") == (200, {"predictions": [18.0]})
