"""Protocol messages without TensorFlow, and beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from signatures import protos
from signatures.errors import UsageError

ROOT = Path(__file__).resolve().parent.parent

SERVING = [
    "PredictRequest",
    "PredictResponse",
    "GetModelMetadataRequest",
    "GetModelMetadataResponse",
    "GetModelStatusRequest",
    "GetModelStatusResponse",
    "ModelSpec",
    "PredictionLog",
    "ClassificationRequest",
    "ReloadConfigRequest",
    "SignatureDefMap",
]


def run(script: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("name", SERVING)
def test_serving_message_is_there(name: str) -> None:
    assert protos.message(f"tensorflow.serving.{name}").DESCRIPTOR.full_name == f"tensorflow.serving.{name}"


def test_message_travels_as_the_wire_format_says() -> None:
    request = protos.message("tensorflow.serving.PredictRequest")()
    request.model_spec.name = "m"
    # Field 1 (model_spec, 3 bytes) holds field 1 (name, 1 byte): tags 0x0a, as the encoding guide of protobuf derives.
    assert request.SerializeToString() == b"\x0a\x03\x0a\x01m"


def test_class_is_the_same_at_every_call() -> None:
    assert protos.message("tensorflow.TensorProto") is protos.message("tensorflow.TensorProto")


def test_any_field_can_be_packed_and_unpacked() -> None:
    """GetModelMetadata answers a SignatureDefMap inside an Any, a message that protobuf itself brings."""
    signatures = protos.message("tensorflow.serving.SignatureDefMap")()
    signatures.signature_def["serving_default"].method_name = "tensorflow/serving/predict"
    response = protos.message("tensorflow.serving.GetModelMetadataResponse")()
    response.metadata["signature_def"].Pack(signatures)
    received = type(response).FromString(response.SerializeToString())
    unpacked = protos.message("tensorflow.serving.SignatureDefMap")()
    assert received.metadata["signature_def"].Unpack(unpacked)
    assert unpacked == signatures


def test_unknown_message_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="tensorflow.Nothing is in no proto file"):
        protos.message("tensorflow.Nothing")


def test_missing_wheel_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protos, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="run: pip install tensorflow-serving-api"):
        protos._serialized("tensorflow_serving/apis/predict.proto")


def test_reading_a_model_imports_no_tensorflow() -> None:
    script = (
        "import sys\n"
        "from signatures import protos, lint, diff, purity, commands\n"
        "protos.message('tensorflow.SavedModel'), protos.message('tensorflow.serving.PredictRequest')\n"
        "print(sorted({'tensorflow', 'tensorflow_serving', 'keras', 'tf_keras', 'numpy'} & set(sys.modules)))"
    )
    assert run(script).strip() == "[]"


@pytest.mark.parametrize("first", ["protos", "tensorflow"])
def test_process_may_import_tensorflow_too(first: str) -> None:
    """The pools are apart, so neither order clashes, and bytes pass between the two kinds of the same message."""
    imports = {
        "protos": "from signatures import protos\nours = protos.message('tensorflow.serving.PredictRequest')()\n",
        "tensorflow": "import tensorflow as tf\nfrom tensorflow_serving.apis import predict_pb2\n",
    }
    second = "tensorflow" if first == "protos" else "protos"
    script = (
        imports[first]
        + imports[second]
        + (
            "theirs = predict_pb2.PredictRequest()\n"
            "theirs.inputs['x'].CopyFrom(tf.make_tensor_proto([1.5]))\n"
            "ours.ParseFromString(theirs.SerializeToString())\n"
            "print(list(ours.inputs['x'].float_val), ours.inputs['x'].dtype)"
        )
    )
    assert run(script).strip() == "[1.5] 1"
