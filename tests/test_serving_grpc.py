"""PredictionService and ModelService; the same assertions run against both servers."""

from __future__ import annotations

from typing import Any, Iterator, Tuple

import grpc
import numpy as np
import pytest

from tests.fixtures_serving import ECHOED, Address, same


@pytest.fixture
def channel(address: Address) -> Iterator[Any]:
    with grpc.insecure_channel(f"127.0.0.1:{address.port}", [("grpc.max_receive_message_length", -1)]) as opened:
        yield opened


def stub(channel: Any) -> Any:
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def request(model: str, signature: str = "", **inputs: Any) -> Any:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    made = predict_pb2.PredictRequest()
    made.model_spec.name = model
    made.model_spec.signature_name = signature
    for name, value in inputs.items():
        made.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return made


def row(**changes: Any) -> Any:
    inputs = {"x": np.array([[1, 2]], np.float32), "ids": np.array([3], np.int64), "name": [b"abc"]}
    return request("sum", **{**inputs, **changes})


def refusal(call: Any, made: Any) -> Tuple[Any, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(made, timeout=30)
    error: Any = caught.value
    return error.code(), error.details()


def test_predict_tells_version_and_signature_in_typed_fields(channel: Any) -> None:
    answer = stub(channel).Predict(row(), timeout=30)
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("sum", 3)
    assert answer.model_spec.signature_name == "serving_default"
    assert list(answer.outputs["score"].float_val) == [6.0]
    assert list(answer.outputs["letters"].int_val) == [3]
    assert answer.outputs["score"].tensor_content == b""


def test_output_filter(channel: Any) -> None:
    made = row()
    made.output_filter.append("letters")
    assert set(stub(channel).Predict(made, timeout=30).outputs) == {"letters"}
    made.output_filter.append("letters")
    assert refusal(stub(channel).Predict, made) == (
        grpc.StatusCode.INVALID_ARGUMENT, "duplicate output tensor alias: letters"
    )


def test_version_and_label(channel: Any) -> None:
    made = row()
    made.model_spec.version.value = 3
    assert stub(channel).Predict(made, timeout=30).model_spec.version.value == 3
    made.model_spec.version.value = 99
    assert refusal(stub(channel).Predict, made) == (
        grpc.StatusCode.NOT_FOUND, "Servable not found for request: Specific(sum, 99)"
    )
    made.model_spec.version_label = "nolabel"
    assert refusal(stub(channel).Predict, made) == (
        grpc.StatusCode.INVALID_ARGUMENT, "Unrecognized servable version label: nolabel"
    )


@pytest.mark.parametrize(
    ("made", "code", "text"),
    [
        (lambda: request("nope", x=[1.0]), "NOT_FOUND", "Servable not found for request: Latest(nope)"),
        (lambda: request(""), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (lambda: request("sum", "nope"), "FAILED_PRECONDITION", 'Serving signature key "nope" not found.'),
        (lambda: row(q=[1.0]), "INVALID_ARGUMENT", "Sent extra: {q}. Missing but required: {}."),
        (lambda: request("sum", x=[[1.0, 2.0]]), "INVALID_ARGUMENT", "Missing but required: {ids,name}."),
        # The tensors are numbered in the order of their names: ids, name, x.
        (lambda: row(x=np.array([[1]], np.int64)), "INVALID_ARGUMENT", "arg[2] to be float but int64 is provided"),
    ],
)
def test_bad_request(channel: Any, made: Any, code: str, text: str) -> None:
    status, details = refusal(stub(channel).Predict, made())
    assert status is grpc.StatusCode[code]
    assert text in details


def test_missing_model_spec(channel: Any) -> None:
    from tensorflow_serving.apis import predict_pb2

    assert refusal(stub(channel).Predict, predict_pb2.PredictRequest()) == (
        grpc.StatusCode.INVALID_ARGUMENT, "Missing ModelSpec"
    )


def test_impossible_tensor(channel: Any) -> None:
    made = row()
    made.inputs["x"].tensor_content = made.inputs["x"].tensor_content[:-1]
    assert refusal(stub(channel).Predict, made) == (grpc.StatusCode.INVALID_ARGUMENT, "tensor parsing error: x")


def test_short_typed_field_repeats_its_last_value(channel: Any) -> None:
    made = row()
    x = made.inputs["x"]
    x.ClearField("tensor_content")
    x.float_val.extend([4.0])  # stands for [4, 4]
    assert list(stub(channel).Predict(made, timeout=30).outputs["score"].float_val) == [11.0]


@pytest.mark.parametrize("dtype", ECHOED)
@pytest.mark.parametrize("typed", [True, False])
def test_every_type_travels_both_ways(channel: Any, dtype: str, typed: bool) -> None:
    import tensorflow as tf

    kind = tf.as_dtype(dtype)
    if kind == tf.string:
        value = np.array([[b"\xff\x00", b""], ["é".encode(), b"x" * 300]], object)
    elif kind == tf.bool:
        value = np.array([[True, False], [False, True]])
    else:
        value = np.array([[0, 1], [100, 3]]).astype(kind.as_numpy_dtype)
    made = request("echo", dtype, v=value)
    if typed:
        content = tf.make_ndarray(made.inputs["v"])
        made.inputs["v"].CopyFrom(_typed(content, kind))
    answer = tf.make_ndarray(stub(channel).Predict(made, timeout=30).outputs["v"])
    assert same(answer, value)


def _typed(value: np.ndarray, kind: Any) -> Any:
    """A TensorProto in typed fields, made by TensorFlow itself."""
    import tensorflow as tf

    proto = tf.make_tensor_proto(np.zeros([0], kind.as_numpy_dtype), kind)
    proto.ClearField("tensor_shape")
    for size in value.shape:
        proto.tensor_shape.dim.add(size=size)
    flat = value.ravel()
    field = {"float32": "float_val", "float64": "double_val", "int64": "int64_val", "uint32": "uint32_val",
             "uint64": "uint64_val", "bool": "bool_val", "string": "string_val", "float16": "half_val",
             "bfloat16": "half_val"}.get(kind.name, "int_val")
    getattr(proto, field).extend(flat.view(np.uint16).tolist() if field == "half_val" else flat.tolist())
    return proto


def test_messages_above_four_megabytes(channel: Any) -> None:
    value = np.arange(2_000_000, dtype=np.float32)
    answer = stub(channel).Predict(request("echo", "float32", v=value), timeout=30)
    assert len(answer.outputs["v"].float_val) == len(value) and answer.outputs["v"].float_val[-1] == value[-1]


def test_op_error_keeps_its_code_and_text(channel: Any) -> None:
    made = request("sum", "one", x=np.array([[1, 2, 3]], np.float32))
    status, details = refusal(stub(channel).Predict, made)
    assert status is grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith("Matrix size-incompatible: In[0]: [1,3], In[1]: [2,1]")
    assert "Graph execution error" not in details


def test_metadata(channel: Any) -> None:
    from tensorflow_serving.apis import get_model_metadata_pb2

    made = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    made.model_spec.name = "sum"
    answer = stub(channel).GetModelMetadata(made, timeout=30)
    found = get_model_metadata_pb2.SignatureDefMap()
    answer.metadata["signature_def"].Unpack(found)
    assert set(found.signature_def["serving_default"].inputs) == {"x", "ids", "name"}
    assert answer.model_spec.version.value == 3
    del made.metadata_field[:]
    assert refusal(stub(channel).GetModelMetadata, made)[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_status(channel: Any) -> None:
    from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc

    models = model_service_pb2_grpc.ModelServiceStub(channel)
    made = get_model_status_pb2.GetModelStatusRequest()
    made.model_spec.name = "sum"
    told, = models.GetModelStatus(made, timeout=30).model_version_status
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert (told.version, told.state, told.status.error_code) == (3, available, 0)
    made.model_spec.name = "nope"
    assert refusal(models.GetModelStatus, made) == (
        grpc.StatusCode.NOT_FOUND, "Could not find any versions of model nope"
    )


def test_what_is_not_built_yet_says_so(embedded: Address) -> None:
    from tensorflow_serving.apis import classification_pb2

    with grpc.insecure_channel(f"127.0.0.1:{embedded.port}") as opened:
        status, _ = refusal(stub(opened).Classify, classification_pb2.ClassificationRequest())
    assert status is grpc.StatusCode.UNIMPLEMENTED
