"""PredictionService's Predict and GetModelMetadata, ModelService's GetModelStatus."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.conformance.asking import Stubs, predict_request, refusal, sum_request, typed
from tests.conformance.models import GRPC_ALONE
from tests.fixtures_serving import ECHOED, same


def test_answer_is_in_typed_fields_with_the_version_that_answered(stubs: Stubs) -> None:
    answer = stubs.prediction.Predict(sum_request(), timeout=60)
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("sum", 3)
    assert answer.model_spec.signature_name == "serving_default"
    assert list(answer.outputs["score"].float_val) == [6.0]
    assert list(answer.outputs["letters"].int_val) == [3]
    assert answer.outputs["score"].tensor_content == b""


def test_output_filter(stubs: Stubs) -> None:
    request = sum_request()
    request.output_filter.append("letters")
    assert set(stubs.predict(request)) == {"letters"}
    request.output_filter.append("letters")
    assert refusal(stubs.prediction.Predict, request) == (
        "INVALID_ARGUMENT", "duplicate output tensor alias: letters"
    )
    del request.output_filter[:]
    request.output_filter.append("nope")
    assert refusal(stubs.prediction.Predict, request) == (
        "INVALID_ARGUMENT", "output tensor alias not found in signature: nope Outputs expected to be in the set "
                            "{letters,score}."
    )


def test_version_and_label(stubs: Stubs) -> None:
    request = sum_request()
    request.model_spec.version.value = 3
    assert stubs.prediction.Predict(request, timeout=60).model_spec.version.value == 3
    request.model_spec.version.value = 99
    assert refusal(stubs.prediction.Predict, request) == (
        "NOT_FOUND", "Servable not found for request: Specific(sum, 99)"
    )
    request.model_spec.version_label = "nolabel"
    assert refusal(stubs.prediction.Predict, request) == (
        "INVALID_ARGUMENT", "Unrecognized servable version label: nolabel"
    )


@pytest.mark.parametrize(
    ("made", "code", "text"),
    [
        pytest.param(lambda: predict_request("nope", x=[1.0]), "NOT_FOUND",
                     "Servable not found for request: Latest(nope)", id="unknown model"),
        pytest.param(lambda: predict_request(""), "INVALID_ARGUMENT", "ModelSpec has no name specified.", id="no name"),
        pytest.param(lambda: predict_request("sum", "nope"), "FAILED_PRECONDITION",
                     'Serving signature key "nope" not found.', id="unknown signature"),
        pytest.param(lambda: sum_request(q=[1.0]), "INVALID_ARGUMENT",
                     "input size does not match signature: 4!=3 len({ids,name,q,x}) != len({ids,name,x}). "
                     "Sent extra: {q}. Missing but required: {}.", id="extra input"),
        pytest.param(lambda: predict_request("sum", x=[[1.0, 2.0]]), "INVALID_ARGUMENT",
                     "input size does not match signature: 1!=3 len({x}) != len({ids,name,x}). "
                     "Sent extra: {}. Missing but required: {ids,name}.", id="missing input"),
        # The tensors are numbered in the order of their names: ids, name, x.
        pytest.param(lambda: sum_request(x=np.array([[1]], np.int64)), "INVALID_ARGUMENT",
                     "Expects arg[2] to be float but int64 is provided", id="wrong dtype"),
    ],
)
def test_bad_request(stubs: Stubs, made: Any, code: str, text: str) -> None:
    assert refusal(stubs.prediction.Predict, made()) == (code, text)


def test_missing_and_extra_input_at_once(stubs: Stubs) -> None:
    request = sum_request(q=[1.0])
    del request.inputs["x"]
    code, text = refusal(stubs.prediction.Predict, request)
    assert code == "INVALID_ARGUMENT"
    assert "Signature input alias: x(feed name: serving_default_x:0) not found in request" in text
    assert "{ids,name,q}" in text


def test_missing_model_spec(stubs: Stubs) -> None:
    from tensorflow_serving.apis import classification_pb2, predict_pb2, regression_pb2

    calls = ((stubs.prediction.Predict, predict_pb2.PredictRequest()),
             (stubs.prediction.Classify, classification_pb2.ClassificationRequest()),
             (stubs.prediction.Regress, regression_pb2.RegressionRequest()))
    for call, request in calls:
        assert refusal(call, request) == ("INVALID_ARGUMENT", "Missing ModelSpec")


@pytest.mark.parametrize("change", ["short content", "unknown size", "no type"])
def test_impossible_tensor(stubs: Stubs, change: str) -> None:
    request = sum_request()
    x = request.inputs["x"]
    if change == "short content":
        x.tensor_content = x.tensor_content[:-1]
    elif change == "unknown size":
        x.tensor_shape.dim[0].size = -1
    else:
        x.dtype = 0
    assert refusal(stubs.prediction.Predict, request) == ("INVALID_ARGUMENT", "tensor parsing error: x")


def test_signature_is_told_before_a_tensor_that_cannot_be_read(stubs: Stubs) -> None:
    request = sum_request()
    request.inputs["x"].dtype = 0
    request.model_spec.signature_name = "nope"
    assert refusal(stubs.prediction.Predict, request)[0] == "FAILED_PRECONDITION"


def test_input_with_a_default_may_be_left_out(stubs: Stubs) -> None:
    x = np.array([2.0], np.float32)
    assert stubs.predict(predict_request("default", x=x))["y"].tolist() == [6.0]
    factor = np.array(5.0, np.float32)
    assert stubs.predict(predict_request("default", x=x, factor=factor))["y"].tolist() == [10.0]
    code, text = refusal(stubs.prediction.Predict, predict_request("default", factor=factor))
    assert code == "INVALID_ARGUMENT" and "Signature input alias: x(" in text
    code, text = refusal(stubs.prediction.Predict, predict_request("default", x=x, q=x))
    assert (code, text) == (
        "INVALID_ARGUMENT", "Inputs contains invalid name. Used request inputs: x, request input: q,x"
    )


@pytest.mark.parametrize("dtype", [*ECHOED, *GRPC_ALONE])
@pytest.mark.parametrize("form", ["content", "typed"])
def test_every_type_travels_both_ways(stubs: Stubs, dtype: str, form: str) -> None:
    import tensorflow as tf

    kind = tf.as_dtype(dtype)
    if kind == tf.string:
        value = np.array([[b"\xff\x00", b""], ["é".encode(), b"x" * 300]], object)
    elif kind == tf.bool:
        value = np.array([[True, False], [False, True]])
    else:
        value = np.array([[0, 1], [2, 3]]).astype(kind.as_numpy_dtype)
    request = predict_request("echo_grpc" if dtype in GRPC_ALONE else "echo", dtype)
    request.inputs["v"].CopyFrom(typed(value) if form == "typed" else tf.make_tensor_proto(value, kind))
    assert same(stubs.predict(request)["v"], value)


def test_metadata(stubs: Stubs) -> None:
    from tensorflow_serving.apis import get_model_metadata_pb2

    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    assert refusal(stubs.prediction.GetModelMetadata, request) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    request.model_spec.name = "sum"
    answer = stubs.prediction.GetModelMetadata(request, timeout=60)
    found = get_model_metadata_pb2.SignatureDefMap()
    answer.metadata["signature_def"].Unpack(found)
    assert set(found.signature_def["serving_default"].inputs) == {"x", "ids", "name"}
    assert answer.model_spec.version.value == 3
    request.metadata_field.append("nope")
    code, text = refusal(stubs.prediction.GetModelMetadata, request)
    assert code == "INVALID_ARGUMENT" and text.startswith("Metadata field ") and text.endswith("nope")
    del request.metadata_field[:]
    assert refusal(stubs.prediction.GetModelMetadata, request) == (
        "INVALID_ARGUMENT", "GetModelMetadataRequest must specify at least one metadata_field"
    )


def test_status(stubs: Stubs) -> None:
    from tensorflow_serving.apis import get_model_status_pb2

    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "sum"
    told, = stubs.model.GetModelStatus(request, timeout=60).model_version_status
    assert (told.version, told.state, told.status.error_code) == (3, told.AVAILABLE, 0)
    request.model_spec.name = "nope"
    assert refusal(stubs.model.GetModelStatus, request) == ("NOT_FOUND", "Could not find any versions of model nope")
