"""Where an imitation goes wrong: fourteen points seen on the real server; the fifteenth is test_versions.py."""

from __future__ import annotations

import gzip
import json
from typing import Any

import numpy as np
import pytest

from tests.conformance.asking import (
    SUM_ROW,
    Stubs,
    get,
    one,
    post,
    post_text,
    predict_request,
    refusal,
    sum_request,
)
from tests.conformance.asking_examples import classify, example, regress
from tests.fixtures_serving import Address


def echo(server: Address, dtype: str, value: str, form: str = "inputs") -> Any:
    return post(server, "echo:predict", f'{{"signature_name": "{dtype}", "{form}": {value}}}')


def test_01_unknown_signature_has_three_codes(server: Address, stubs: Stubs) -> None:
    assert post(server, "sum:predict", '{"signature_name": "nope", "instances": [1]}')[0] == 400
    assert refusal(stubs.prediction.Predict, predict_request("sum", "nope"))[0] == "FAILED_PRECONDITION"
    assert refusal(stubs.prediction.Classify, classify("nope", example()))[0] == "INVALID_ARGUMENT"
    assert refusal(stubs.prediction.Regress, regress("nope", example()))[0] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "uint16"])
def test_02_types_that_rest_cannot_carry(server: Address, stubs: Stubs, dtype: str) -> None:
    name = {"float16": "half"}.get(dtype, dtype)
    assert echo(server, dtype, "[1]", "instances") == (
        400, {"error": "Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: Conversion of JSON "
                       f"Value: 1 to type: {name}"}
    )
    assert echo(server, dtype, "[1]") == (501, {"error": f"Conversion of JSON Value: 1 to type: {name}"})


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_02_outputs_that_rest_cannot_carry(server: Address, dtype: str) -> None:
    name = {"float16": "half"}.get(dtype, dtype)
    body = f'{{"signature_name": "to_{dtype}", "inputs": [1.5]}}'
    assert post(server, "odd:predict", body) == (
        400, {"error": f"Failed to write JSON value for tensor type: {name}"}
    )


def test_03_extra_alias(server: Address, stubs: Stubs) -> None:
    assert post(server, "sum:predict", one('"inputs": {"x": [[1, 2]], "q": [1]}')) == (200, {"outputs": [21.0]})
    assert post(server, "sum:predict", one('"instances": [{"x": [1, 2], "q": 1}]'))[0] == 400
    assert refusal(stubs.prediction.Predict, sum_request(q=[1.0]))[0] == "INVALID_ARGUMENT"


def test_04_shapes_are_the_graph_s_and_dtypes_are_never_cast(server: Address, stubs: Stubs) -> None:
    wide = sum_request(x=np.array([[1, 2, 4]], np.float32))  # [None, 2] is declared
    assert stubs.predict(wide)["score"].tolist() == [10.0]
    for dtype in (np.float64, np.int64, np.int32):
        code, text = refusal(stubs.prediction.Predict, sum_request(x=np.array([[1, 2]], dtype)))
        assert code == "INVALID_ARGUMENT" and text.startswith("Expects arg[2] to be float but ")


def test_05_no_value_stands_for_one_of_another_type(server: Address) -> None:
    assert echo(server, "int64", "[1.0]")[0] == 400
    assert echo(server, "int64", "[true]")[0] == 400
    assert echo(server, "float32", "[true]")[0] == 400
    assert echo(server, "uint8", "[300, -1]") == (200, {"outputs": [44, 255]})  # checked as int32, then wrapped
    assert echo(server, "int8", "[128]") == (200, {"outputs": [-128]})


def test_06_an_integer_makes_an_int64_feature(server: Address) -> None:
    for call, signature in (("classify", "classify"), ("regress", "regress")):
        body = {"signature_name": signature, "examples": [{"x": 2}]}
        code, answer = post(server, f"examples:{call}", body)
        assert code == 400 and "Data type: int64 but expected type: float" in answer["error"]
        body = {"signature_name": signature, "examples": [{"x": 2.0}]}
        assert post(server, f"examples:{call}", body)[0] == 200


def test_07_empty_rows_are_refused_and_empty_columns_answered(server: Address) -> None:
    assert echo(server, "float32", "[]", "instances")[0] == 400
    assert echo(server, "float32", "[]") == (200, {"outputs": []})


def test_08_rows_need_outputs_of_one_length_which_sets_the_number_of_predictions(server: Address) -> None:
    def ask(model: str, signature: str, rows: str) -> Any:
        return post(server, f"{model}:predict", f'{{"signature_name": "{signature}", "instances": {rows}}}')

    assert ask("sum", "scalar", "[[1, 2]]") == (400, {"error": "Tensor name: total has no shape information "})
    code, body = ask("odd", "unequal", "[1, 2]")
    assert code == 400 and "has inconsistent batch size: " in body["error"]
    assert ask("odd", "doubled", "[1, 2]") == (200, {"predictions": [1.0, 2.0, 1.0, 2.0]})
    assert ask("odd", "none_out", "[1]") == (400, {"error": "Tensor name: y has invalid batch size: 0"})
    assert post(server, "sum:predict", '{"signature_name": "scalar", "inputs": [[1, 2]]}') == (200, {"outputs": 3.0})
    columns = post(server, "odd:predict", '{"signature_name": "unequal", "inputs": [1, 2]}')
    assert columns == (200, {"outputs": {"a": [1.0, 2.0], "b": [1.0, 2.0, 1.0, 2.0]}})


def test_09_json_reader(server: Address) -> None:
    body = one('"inputs": [[1, 2]], "inputs": [[5, 5]]')
    assert post(server, "sum:predict", body) == (200, {"outputs": [21.0]})  # the first of duplicate keys
    assert post(server, "sum:predict", one('"inputs": {"x": [[1, 2]], "x": [[5, 5]]}')) == (200, {"outputs": [21.0]})
    assert json.loads(post_text(server, "echo:predict", '{"signature_name": "float32", "inputs": [Inf]}')) == {
        "outputs": [float("inf")]
    }
    assert post(server, "echo:predict", '{"signature_name": "float64","inputs":[1e400]}') == (
        400, {"error": "JSON Parse error: Number too big to be stored in double. at offset: 39"}
    )
    assert post(server, "echo:predict", '{"signature_name": "float64","inputs":[1e-400]}')[0] == 200
    plain = one('"inputs": [[1, 2]]').encode()
    assert post(server, "sum:predict", b"\xef\xbb\xbf" + plain) == (200, {"outputs": [21.0]})
    zipped = gzip.compress(plain)
    assert post(server, "sum:predict", zipped, headers={"Content-Encoding": "gzip"}) == (200, {"outputs": [21.0]})


@pytest.mark.parametrize(
    ("text", "answer"),
    [("/wA=", "/wA="), ("/wA", "/wA="), ("/ w\\nA", "/wA="), ("_wA=", None), ("/wA==", None), ("/", None), ("=", None)],
)
def test_10_base64(server: Address, text: str, answer: Any) -> None:
    code, body = echo(server, "bytes", f'[{{"b64": "{text}"}}]')
    if answer is None:
        assert (code, body) == (400, {"error": "Unable to base64 decode"})
    else:
        assert (code, body) == (200, {"outputs": [{"b64": answer}]})


def test_10_other_strings_pass_raw_bytes(server: Address) -> None:
    assert echo(server, "string", '[{"b64": "/0E="}]') == (200, {"outputs": ["\udcffA"]})  # 0xff, which is no UTF-8
    assert echo(server, "string", '{"b64": "/0E="}') == (200, {"outputs": "\udcffA"})


def test_11_body_is_parsed_before_the_model_is_looked_up(server: Address) -> None:
    for call in ("predict", "classify", "regress"):
        assert post(server, f"nope:{call}", "") == (400, {"error": "JSON Parse error: The document is empty"})
    assert post(server, "nope:classify", "{}")[0] == 400
    assert post(server, "nope:predict", "{}")[0] == 404  # what the body holds is looked at afterwards


def test_11_wrong_method_path_or_query_is_400(server: Address) -> None:
    rows = f'{{"instances": [{SUM_ROW}]}}'
    assert get(server, "/sum:predict") == (400, {"error": "Malformed request: GET /v1/models/sum:predict"})
    assert post(server, "sum:dream", rows) == (400, {"error": "Malformed request: POST /v1/models/sum:dream"})
    assert post(server, "sum:predict?a=b", rows) == (
        400, {"error": "Malformed request: POST /v1/models/sum:predict?a=b"}
    )


def test_12_status_by_label_ignores_the_label_and_metadata_tells_the_init_op(server: Address) -> None:
    assert get(server, "/sum/labels/ignored") == get(server, "/sum")
    signatures = get(server, "/sum/metadata")[1]["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) == {"__saved_model_init_op", "serving_default", "one", "scalar"}


def test_13_large_messages_and_short_tensors(stubs: Stubs) -> None:
    value = np.arange(2_000_000, dtype=np.float32).reshape(1000, 2000)  # 8 MB
    answer = stubs.prediction.Predict(predict_request("echo", "float32", v=value), timeout=60)
    proto = answer.outputs["v"]
    assert len(proto.float_val) == value.size and proto.float_val[-1] == value[-1, -1] and proto.tensor_content == b""
    assert answer.model_spec.version.value == 1  # the resolved version
    short = sum_request()
    short.inputs["x"].ClearField("tensor_content")
    short.inputs["x"].float_val.extend([4.0])  # stands for [4, 4]
    assert stubs.predict(short)["score"].tolist() == [11.0]
    del short.inputs["x"].float_val[:]  # stands for [0, 0]
    assert stubs.predict(short)["score"].tolist() == [3.0]


def test_14_an_op_s_error_keeps_its_code(server: Address, stubs: Stubs) -> None:
    name, text = refusal(stubs.prediction.Predict, predict_request("odd", "checked", v=np.array([np.nan], np.float32)))
    assert name == "INVALID_ARGUMENT" and text.startswith("v must be finite : Tensor had NaN values")
    assert "Graph execution error" not in text
    assert post(server, "odd:predict", '{"signature_name": "checked", "inputs": [NaN]}')[0] == 400
    code, body = post(server, "odd:predict", '{"signature_name": "missing_op", "inputs": ["a"]}')
    assert code == 404 and body["error"].startswith("Op type not registered 'Scann>Length'")
    assert refusal(stubs.prediction.Predict, predict_request("odd", "missing_op", v=[b"a"]))[0] == "NOT_FOUND"


def test_14_floats_print_without_noise(server: Address) -> None:
    text = post_text(server, "echo:predict", '{"signature_name": "float32", "inputs": [0.2, 3, 9000000]}')
    assert [line.strip(" ,") for line in text.splitlines()[2:5]] == ["0.2", "3.0", "9e+06"]


def test_a_model_with_an_op_that_is_missing_serves_the_rest(server: Address) -> None:
    assert post(server, "odd:predict", '{"inputs": [1.0]}') == (200, {"outputs": [2.0]})


def test_xla_is_refused_at_the_request(server: Address, stubs: Stubs) -> None:
    code, body = post(server, "odd:predict", '{"signature_name": "xla", "inputs": [1.0]}')
    assert code == 500 and "XLA compilation disabled" in body["error"]
    text = refusal(stubs.prediction.Predict, predict_request("odd", "xla", v=np.array([1.0], np.float32)))[1]
    assert "XLA compilation disabled" in text
