"""Requests over REST that are refused, each with the code and the text observed on the real server."""

from __future__ import annotations

import httpx
import pytest

from tests.conformance.asking import SUM_ROW, get, one, post
from tests.fixtures_serving import Address


def element(key: str, row: int = 0) -> str:
    """How an error in one cell of a row begins."""
    return f"Failed to process element: {row} key: {key} of 'instances' list. Error: INVALID_ARGUMENT: "


def rows(**cells: str) -> str:
    """A request of one row to `sum`, with some cells changed or added."""
    row = {"x": "[1, 2]", "ids": "3", "name": '"abc"', **cells}
    return '{"instances": [{' + ", ".join(f'"{key}": {cell}' for key, cell in row.items()) + "}]}"


ROWS = {
    "{not json": ("{not json", "JSON Parse error: Missing a name for object member. at offset: 1"),
    "empty body": ("", "JSON Parse error: The document is empty"),
    "neither instances nor inputs": ("{}", "Missing 'inputs' or 'instances' key"),
    '"instances": []': ('{"instances": []}', "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array"),
    "a row lacks a key": (
        '{"instances": [{"x": [1, 2]}]}',
        "Failed to process element: 0 of 'instances' list. JSON object: {\n    \"x\": [\n        1,\n        2\n"
        "    ]\n} keys must be equal to: ids,name,x",
    ),
    "a row has an extra key": (rows(q="1"), element("q") + "JSON object: does not have named input: q"),
    "a column is missing": ('{"inputs": {"ids": [1], "name": ["a"]}}', "Missing named input: x in 'inputs' object."),
    "string where float is expected": (
        rows(x='["s", 2]'), element("x") + 'JSON Value: "s" Type: String is not of expected type: float',
    ),
    "1.5 for int64": (
        rows(ids="1.5"), element("ids") + "JSON Value: 1.5 Type: Number is not of expected type: int64",
    ),
    "ragged rows": (
        one('"inputs": [[1, 2], [3]]'), "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
    ),
    "bad base64": (rows(name='{"b64": "*"}'), element("name") + "Unable to base64 decode"),
    "unknown signature": (
        '{"signature_name": "nope", "instances": [1]}', 'Serving signature name: "nope" not found in signature def',
    ),
}
MORE = {
    "the document is a list": ("[1]", "JSON Value: [\n    1\n] Is not object"),
    "signature_name is a number": (
        '{"signature_name": 1}',
        "JSON Value: {\n    \"signature_name\": 1\n} not formatted correctly. 'signature_name' key must be a string "
        "value.",
    ),
    "rows and columns at once": (
        '{"instances": [1], "inputs": [1]}',
        "JSON Value: {\n    \"instances\": [\n        1\n    ],\n    \"inputs\": [\n        1\n    ]\n} Not formatted "
        "correctly expecting only one of 'inputs' or 'instances' keys to exist ",
    ),
    "instances is an object": (
        '{"instances": {}}', "JSON Value: {\n    \"instances\": {}\n} Excepting 'instances' to be an list/array",
    ),
    "several inputs, rows without names": (
        '{"instances": [1]}',
        "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
        "tensorinfo_map",
    ),
    "several inputs, columns without names": (
        '{"inputs": [1]}',
        "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
        "tensorinfo_map",
    ),
    "second row is no object": (
        one('"instances": [{"x": [1, 2]}, [1, 2]]'), "Expecting object but got list at item 1 of input list",
    ),
    "second row is an object": (
        one('"instances": [[1, 2], {"x": [1, 2]}]'), "Expecting value/list but got object at item 1 of input list",
    ),
    "rows of another size": (
        one('"instances": [[1, 2], [1]]'),
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 2 "
        "but got: 1",
    ),
    "rows of another shape": (
        one('"instances": [[[1, 2]], [[1], [2]]]'),
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting shape [1,2] "
        "but got: [2,1]",
    ),
    "a value beside lists": (
        one('"inputs": [[1, 2], 3]'),
        "JSON Value: 3 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
    ),
    "a list beside values": (one('"inputs": [1, [2]]'), "Encountered list at unexpected level: 1 expected < 1"),
    "an object where a number is expected": (
        one('"inputs": [{"a": 1}]'),
        "JSON Value: {\n    \"a\": 1\n} Type: Object is not of expected type: float",
    ),
    "bytes that are no object of bytes": (
        rows(name='{"b64": null}'),
        element("name") + "JSON Value: {\n    \"b64\": null\n} not formatted correctly for base64 data",
    ),
    "integer beyond float": (
        one('"inputs": [[1, 16777216]]'), "Cannot convert JSON value: 16777216 to float without loss of precision.",
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_row(server: Address, row: str) -> None:
    body, text = ROWS[row]
    assert post(server, "sum:predict", body) == (400, {"error": text})


@pytest.mark.parametrize("row", MORE)
def test_beyond_the_table(server: Address, row: str) -> None:
    body, text = MORE[row]
    assert post(server, "sum:predict", body) == (400, {"error": text})


@pytest.mark.parametrize(
    ("path", "code", "text"),
    [
        pytest.param("nope", 404, "Servable not found for request: Latest(nope)", id="unknown model"),
        pytest.param("sum/versions/99", 404, "Servable not found for request: Specific(sum, 99)", id="unknown version"),
        pytest.param("sum/labels/nolabel", 400, "Unrecognized servable version label: nolabel", id="unknown label"),
    ],
)
@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("predict", f'{{"instances": [{SUM_ROW}]}}'), ("classify", '{"examples": [{}]}'),
        ("regress", '{"examples": [{}]}'),
    ],
)
def test_unknown_target(server: Address, path: str, code: int, text: str, method: str, body: str) -> None:
    assert post(server, f"{path}:{method}", body) == (code, {"error": text})


def test_get_on_predict(server: Address) -> None:
    assert get(server, "/sum:predict") == (400, {"error": "Malformed request: GET /v1/models/sum:predict"})


@pytest.mark.parametrize("path", ["/v2/models/sum/infer", "/", "/v1"])
def test_unknown_path_is_answered_with_a_page(server: Address, path: str) -> None:
    answer = httpx.post(server.url + path, content=b"{}", trust_env=False)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "<H1>" in answer.text.upper()


@pytest.mark.parametrize("path", ["sum:dream", "sum", "sum/metadata", "sum/versions/x:predict"])
def test_what_is_no_request_of_the_api(server: Address, path: str) -> None:
    assert post(server, path, "{}") == (400, {"error": f"Malformed request: POST /v1/models/{path}"})


def test_wrong_methods(server: Address) -> None:
    for method in ("PUT", "DELETE", "HEAD", "PATCH"):
        answer = httpx.request(method, f"{server.url}/v1/models/sum:predict", trust_env=False)
        assert answer.status_code in (400, 405, 501), method
        if method == "PUT":
            assert answer.json() == {"error": "Malformed request: PUT /v1/models/sum:predict"}


def test_signature_without_inputs(server: Address) -> None:
    body = '{"signature_name": "nothing_in", "inputs": {}}'
    assert post(server, "odd:predict", body) == (400, {"error": "Failed to get input map for signature: nothing_in"})
