"""How the tests ask: raw JSON over REST, raw protos over gRPC, nothing of Signet's own client."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Optional, Tuple

import grpc
import httpx
import numpy as np
import pytest

from tests.fixtures_serving import Address, wait_until

SUM_ROW = '{"x": [1, 2], "ids": 3, "name": "abc"}'
"""One row of model `sum`: score 6, letters 3."""
SUM_COLUMNS = {"inputs": {"x": [[1, 2]], "ids": [3], "name": ["abc"]}}
"""The same as columns."""


def post(address: Address, path: str, body: Any, **options: Any) -> Tuple[int, Any]:
    """Code and parsed answer of a POST to /v1/models/`path`; `body` is text, bytes, or what json.dumps takes."""
    text = body if isinstance(body, (str, bytes)) else json.dumps(body)
    content = text if isinstance(text, bytes) else text.encode()
    answer = httpx.post(f"{address.url}/v1/models/{path}", content=content, trust_env=False, timeout=60, **options)
    return answer.status_code, json.loads(answer.content.decode("utf-8", "surrogateescape"))


def post_text(address: Address, path: str, body: str) -> str:
    """The answer as it came."""
    content = body.encode()
    return httpx.post(f"{address.url}/v1/models/{path}", content=content, trust_env=False, timeout=60).text


def get(address: Address, path: str) -> Tuple[int, Any]:
    """Code and parsed answer of a GET to /v1/models`path`."""
    answer = httpx.get(f"{address.url}/v1/models{path}", trust_env=False, timeout=60)
    return answer.status_code, answer.json()


def one(value: str) -> str:
    """A request to model `sum` for the signature with one input and one output, y = x0 + 10 x1."""
    return f'{{"signature_name": "one", {value}}}'


def states(address: Address, model: str) -> Dict[int, str]:
    """Version -> state; empty when the model is not known."""
    code, body = get(address, f"/{model}")
    return {int(told["version"]): told["state"] for told in body["model_version_status"]} if code == 200 else {}


def reaches(server: Address, model: str, wanted: Dict[int, str]) -> None:
    """Waits until the model's versions are in these states."""
    wait_until(lambda: states(server, model) == wanted)


class Stubs:
    """The two gRPC services of one server."""

    def __init__(self, channel: grpc.Channel) -> None:
        from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

        self.prediction: Any = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self.model: Any = model_service_pb2_grpc.ModelServiceStub(channel)

    def predict(self, request: Any) -> Dict[str, np.ndarray]:
        """The outputs of a PredictRequest, read by TensorFlow's own code."""
        import tensorflow as tf

        answer = self.prediction.Predict(request, timeout=60)
        return {alias: tf.make_ndarray(proto) for alias, proto in answer.outputs.items()}


@contextmanager
def connected(address: Address) -> Iterator[Stubs]:
    """gRPC to a server, with messages of any size."""
    with grpc.insecure_channel(f"127.0.0.1:{address.port}", [("grpc.max_receive_message_length", -1)]) as channel:
        yield Stubs(channel)


def predict_request(model: str, signature: str = "", **inputs: Any) -> Any:
    """A PredictRequest whose tensors TensorFlow's own code wrote."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def sum_request(**changes: Any) -> Any:
    """One row of model `sum`, as `SUM_ROW`."""
    inputs = {"x": np.array([[1, 2]], np.float32), "ids": np.array([3], np.int64), "name": [b"abc"]}
    return predict_request("sum", **{**inputs, **changes})


def refusal(call: Any, request: Any, timeout: Optional[float] = 60) -> Tuple[str, str]:
    """The code's name and the text of a call that fails."""
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=timeout)
    error: Any = caught.value
    return error.code().name, error.details()


def typed(value: np.ndarray) -> Any:
    """The TensorProto of an array in typed fields, with nothing left out, as TensorFlow's C++ writes it."""
    import tensorflow as tf

    kind = tf.as_dtype(value.dtype) if value.dtype != object else tf.string
    proto = tf.make_tensor_proto(np.zeros([0], kind.as_numpy_dtype), kind)
    proto.Clear()
    proto.dtype = kind.as_datatype_enum
    for size in value.shape:
        proto.tensor_shape.dim.add(size=size)
    flat = value.ravel()
    if kind.name.startswith("float8"):
        proto.float8_val = flat.tobytes()
        return proto
    fields = {"float32": "float_val", "float64": "double_val", "int64": "int64_val", "uint32": "uint32_val",
              "uint64": "uint64_val", "bool": "bool_val", "string": "string_val", "float16": "half_val",
              "bfloat16": "half_val", "complex64": "scomplex_val", "complex128": "dcomplex_val"}
    field = fields.get(kind.name, "int_val")
    if field == "half_val":
        flat = flat.view(np.uint16)
    elif field in ("scomplex_val", "dcomplex_val"):
        flat = flat.view(np.float32 if field == "scomplex_val" else np.float64)
    elif kind.name in ("int4", "uint4"):
        flat = flat.astype(np.int32)
    getattr(proto, field).extend(flat.tolist())
    return proto


def content(value: np.ndarray) -> Any:
    """The TensorProto of an array of numbers in tensor_content."""
    proto = typed(value[:0].reshape(-1) if value.ndim else value.reshape(-1)[:0])
    proto.ClearField("tensor_shape")
    for size in value.shape:
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_content = np.ascontiguousarray(value).tobytes()
    return proto
