"""Classify and Regress: serialized examples in, the same answers over REST and gRPC.

Model `examples`: scores are -x and x + id, numbers are 0.5 x + 2; x is 0 and id -1 where the example lacks them.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.asking import Stubs, post, post_text, refusal
from tests.conformance.asking_examples import classes, classify, example, numbers, regress
from tests.fixtures_serving import Address


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        # x = 1.5 and id = 2; then x = 0 and id = -1, which the example lacks
        ("classify", [[("no", -1.5), ("yes", 3.5)], [("no", 0.0), ("yes", -1.0)]]),
        ("", [[("no", -1.5), ("yes", 3.5)], [("no", 0.0), ("yes", -1.0)]]),
        ("labels_alone", [[("no", 0.0), ("yes", 0.0)], [("no", 0.0), ("yes", 0.0)]]),
        ("scores_alone", [[("", -1.5), ("", 3.5)], [("", 0.0), ("", -1.0)]]),
    ],
)
def test_classify(server: Address, stubs: Stubs, signature: str, expected: Any) -> None:
    answer = stubs.prediction.Classify(classify(signature, example(x=1.5, id=2), example()), timeout=60)
    assert classes(answer.result) == expected
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("examples", 1)
    assert answer.model_spec.signature_name == (signature or "serving_default")
    body = {"signature_name": signature, "examples": [{"x": 1.5, "id": 2}, {}]}
    rows = [[list(pair) for pair in row] for row in expected]
    assert post(server, "examples:classify", body) == (200, {"results": rows})


@pytest.mark.parametrize("signature", ["regress", "regress_column"])
def test_regress(server: Address, stubs: Stubs, signature: str) -> None:
    answer = stubs.prediction.Regress(regress(signature, example(x=1.0), example()), timeout=60)
    assert numbers(answer.result) == [2.5, 2.0]
    assert (answer.model_spec.version.value, answer.model_spec.signature_name) == (1, signature)
    body = {"signature_name": signature, "examples": [{"x": [1.0]}, {}]}
    assert post(server, "examples:regress", body) == (200, {"results": [2.5, 2.0]})


def test_layout(server: Address) -> None:
    body = '{"examples": [{"x": 1.5, "id": 2}, {}]}'
    assert post_text(server, "examples:classify", body) == (
        '{\n    "results": [[["no", -1.5], ["yes", 3.5]], [["no", -0.0], ["yes", -1.0]]\n    ]\n}'
    )
    body = '{"signature_name": "regress", "examples": [{"x": 1.0}, {}]}'
    assert post_text(server, "examples:regress", body) == '{\n    "results": [2.5, 2.0]\n}'


def test_context_is_shared_and_an_example_s_own_feature_goes_before_it(server: Address, stubs: Stubs) -> None:
    # x: 1 of the context, 3 of the second example's own; 0.5 + 2 and 1.5 + 2
    given = regress("regress", example(), example(x=3.0), context=example(x=1.0))
    assert numbers(stubs.prediction.Regress(given, timeout=60).result) == [2.5, 3.5]
    body = {"signature_name": "regress", "context": {"x": 1.0}, "examples": [{}, {"x": 3.0}]}
    assert post(server, "examples:regress", body) == (200, {"results": [2.5, 3.5]})


def test_version_in_the_path_and_in_the_request(server: Address, stubs: Stubs) -> None:
    body = {"signature_name": "regress", "examples": [{}]}
    assert post(server, "examples/versions/1:regress", body) == (200, {"results": [2.0]})
    given = regress("regress", example())
    given.model_spec.version.value = 99
    assert refusal(stubs.prediction.Regress, given) == (
        "NOT_FOUND", "Servable not found for request: Specific(examples, 99)"
    )


BAD_SIGNATURES = {
    "nope": "No signature was found with the name: nope",
    "flat_scores": "Expected Tensor shape: [batch_size num_classes] but got [2]",
    "double_scores": "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE",
    "one_row": "Expected scores output batch size of 2. Got: 1",
    "unequal": "Tensors class and score should match in dim_size(1). Got 2 vs. 1",
    "three": "Expected one or two output Tensors, found 3",
}


@pytest.mark.parametrize("signature", BAD_SIGNATURES)
def test_signature_that_cannot_classify(server: Address, stubs: Stubs, signature: str) -> None:
    text = BAD_SIGNATURES[signature]
    given = classify(signature, example(), example())
    assert refusal(stubs.prediction.Classify, given) == ("INVALID_ARGUMENT", text)
    body = {"signature_name": signature, "examples": [{}, {}]}
    assert post(server, "examples:classify", body) == (400, {"error": text})


BAD_REGRESSIONS = {
    "nope": "No signature was found with the name: nope",
    "regress_wide": "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,2]",
    "regress_one": "Input batch size did not match output batch size: 2 vs. 1",
    "regress_double": "Expected output Tensor of DT_FLOAT.  Got: DT_DOUBLE",
    "classify": "Expected one output Tensor.",
    "floats": "Expects arg[0] to be float but string is provided",
}


@pytest.mark.parametrize("signature", BAD_REGRESSIONS)
def test_signature_that_cannot_regress(server: Address, stubs: Stubs, signature: str) -> None:
    text = BAD_REGRESSIONS[signature]
    given = regress(signature, example(), example())
    assert refusal(stubs.prediction.Regress, given) == ("INVALID_ARGUMENT", text)
    body = {"signature_name": signature, "examples": [{}, {}]}
    assert post(server, "examples:regress", body) == (400, {"error": text})


@pytest.mark.parametrize(
    ("call", "signature", "text"),
    [
        ("classify", "neither", 'Expected classification signature outputs to contain at least one of "classes" or '
                                '"scores". Signature was: '),
        ("classify", "other_input", "No classification inputs found in SignatureDef: "),
        ("regress", "other_input", "No regression inputs found in SignatureDef: "),
        ("regress", "regress_other", "No regression outputs found in SignatureDef: "),
    ],
)
def test_signature_with_other_names_is_quoted(server: Address, call: str, signature: str, text: str) -> None:
    code, body = post(server, f"examples:{call}", {"signature_name": signature, "examples": [{}]})
    assert code == 400 and body["error"].startswith(text)
    assert 'method_name: "tensorflow/serving/predict"' in body["error"]


def test_several_inputs_are_too_many(server: Address) -> None:
    for call in ("classify", "regress"):
        assert post(server, f"sum:{call}", {"examples": [{}]}) == (400, {"error": "Expected one input Tensor."})


def test_no_examples(stubs: Stubs) -> None:
    assert refusal(stubs.prediction.Classify, classify("classify")) == ("INVALID_ARGUMENT", "Input is empty.")
    assert refusal(stubs.prediction.Regress, regress("regress", context=example())) == (
        "INVALID_ARGUMENT", "Input is empty."
    )


BAD_BODIES = {
    "no examples key": ("{}", "JSON Value: {} When method is classify, key 'examples' is expected and was not found"),
    "examples is no list": (
        '{"examples": {}}', "JSON Value: {\n    \"examples\": {}\n} Expecting 'examples' value to be an list/array",
    ),
    "no example": ('{"examples": []}', "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array"),
    "an example is no object": ('{"examples": [1]}', "Example must be JSON object but got JSON Number"),
    "the context is no object": (
        '{"context": [], "examples": [{}]}', "Example must be JSON object but got JSON Array",
    ),
    "null": ('{"examples": [{"x": null}]}', "Feature: x has element with unexpected JSON type: Null"),
    "a list in a list": ('{"examples": [{"x": [[1]]}]}', "Feature: x has element with unexpected JSON type: Array"),
    "an object": ('{"examples": [{"x": {"a": 1}}]}', "Feature: x has element with unexpected JSON type: Object"),
    "two types": ('{"examples": [{"x": [1, 2.5]}]}', "Unexpected element type in feature: x expecting type: int64"),
    "text among floats": (
        '{"examples": [{"x": [1.5, "a"]}]}', "Unexpected element type in feature: x expecting type: float",
    ),
    "a number among bytes": (
        '{"examples": [{"x": [{"b64": "YQ=="}, 1]}]}', "Unexpected element type in feature: x expecting type: bytes",
    ),
    "beyond int64": (
        '{"examples": [{"x": 9223372036854775808}]}', "Feature: x has uint64 element. Only int64 is supported.",
    ),
    "beyond float": (
        '{"examples": [{"x": 1e39}]}', "Cannot convert JSON value: 1e+39 to float without loss of precision.",
    ),
    "bad base64": ('{"examples": [{"x": {"b64": "*"}}]}', "Unable to base64 decode"),
    "signature_name is a number": (
        '{"signature_name": 1}',
        "JSON Value: {\n    \"signature_name\": 1\n} not formatted correctly. 'signature_name' key must be a string "
        "value.",
    ),
}


@pytest.mark.parametrize("row", BAD_BODIES)
@pytest.mark.parametrize("call", ["classify", "regress"])
def test_bad_body(server: Address, row: str, call: str) -> None:
    body, text = BAD_BODIES[row]
    assert post(server, f"examples:{call}", body) == (400, {"error": text})


def test_a_float_feature_wants_a_fraction_and_an_integer_one_takes_true(server: Address) -> None:
    code, body = post(server, "examples:regress", '{"signature_name": "regress", "examples": [{"x": 2}]}')
    assert code == 400
    assert "Data types don't match. Data type: int64 but expected type: float" in body["error"]
    body = '{"signature_name": "id_alone", "examples": [{"id": true}, {"id": 7}]}'
    assert post(server, "examples:regress", body) == (200, {"results": [1.0, 7.0]})


def test_label_that_is_no_text(server: Address, stubs: Stubs) -> None:
    # 0xff goes through REST as it is; a proto's string field cannot hold it.
    assert post(server, "examples:classify", '{"signature_name": "bytes_label", "examples": [{}]}') == (
        200, {"results": [[["\udcff", 0.0]]]}
    )
    assert refusal(stubs.prediction.Classify, classify("bytes_label", example()))[0] == "INTERNAL"
