"""PredictionService and ModelService as bytes, with messages built without TensorFlow."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, List, Mapping, Sequence

import numpy as np
from google.protobuf.message import DecodeError

from serving.client import tensors
from serving.client.errors import ClientError, Refused, ServerFailed, from_code
from serving.client.exchange import Exchange
from serving.client.transport import Answer, Target, VersionStatus
from signatures import protos

OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # No proxy from the environment: a model server is an address of one's own network.
    ("grpc.enable_http_proxy", 0),
    # By default a channel waits up to two minutes before it looks again whether a restarted server is back.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
"""Of every channel, sync or async."""

_PREDICTION = "/tensorflow.serving.PredictionService/"
_MODEL = "/tensorflow.serving.ModelService/"
_NOT_REACHED = re.compile("failed to connect|connections to all|name resolution|DNS|address list", re.IGNORECASE)


def predict(target: Target, arrays: Mapping[str, np.ndarray], wanted: Sequence[str]) -> Exchange[Answer]:
    """Runs a signature; the answer tells the version."""
    request = _message("PredictRequest")()
    _specify(request.model_spec, target)
    request.model_spec.signature_name = target.signature
    for name, array in arrays.items():
        tensors.fill(request.inputs[name], array)
    request.output_filter.extend(wanted)
    return Exchange(_PREDICTION + "Predict", request.SerializeToString(), _answer)


def signatures(target: Target) -> Exchange[Any]:
    """The SignatureDefMap of a version."""
    request = _message("GetModelMetadataRequest")(metadata_field=["signature_def"])
    _specify(request.model_spec, target)
    return Exchange(_PREDICTION + "GetModelMetadata", request.SerializeToString(), _signature_map)


def status(target: Target) -> Exchange[List[VersionStatus]]:
    """Every version of a model, or the one of the target."""
    request = _message("GetModelStatusRequest")()
    _specify(request.model_spec, target)
    return Exchange(_MODEL + "GetModelStatus", request.SerializeToString(), _statuses)


def reload(config: bytes) -> Exchange[None]:
    """Replaces the server's whole list of models by a ModelServerConfig."""
    request = _message("ReloadConfigRequest")()
    request.config.MergeFromString(config)
    return Exchange(_MODEL + "HandleReloadConfigRequest", request.SerializeToString(), _reloaded)


def failure(address: str, code: str, details: str) -> ClientError:
    """The exception for a call that ended with a status."""
    if code == "RESOURCE_EXHAUSTED" and "larger than max" in details:
        # A message beyond a limit stays beyond it, however often it is sent.
        return Refused(details)
    if code == "UNAVAILABLE":
        told = "is not reachable" if _NOT_REACHED.search(details) else "is unavailable"
        return from_code(code, f"{address} {told}: {details}")
    return from_code(code, details or f"{address}: {code}")


def _answer(content: bytes) -> Answer:
    response = _parsed("PredictResponse", content)
    outputs = {name: tensors.read(proto) for name, proto in response.outputs.items()}
    return Answer(outputs, response.model_spec.version.value)


def _signature_map(content: bytes) -> Any:
    metadata = _parsed("GetModelMetadataResponse", content).metadata
    return _parsed("SignatureDefMap", metadata["signature_def"].value)


def _statuses(content: bytes) -> List[VersionStatus]:
    states = _message("ModelVersionStatus").State
    return [
        VersionStatus(told.version, states.Name(told.state), told.status.error_message)
        for told in _parsed("GetModelStatusResponse", content).model_version_status
    ]


def _reloaded(content: bytes) -> None:
    """The server tells an error in the call's status, and an old one in the answer."""
    told = _parsed("ReloadConfigResponse", content).status
    if told.error_code:
        code = type(told).DESCRIPTOR.fields_by_name["error_code"].enum_type.values_by_number[told.error_code].name
        raise from_code(code, told.error_message)


def _parsed(name: str, content: bytes) -> Any:
    try:
        return _message(name).FromString(content)
    except DecodeError as error:
        raise ServerFailed(f"the server's answer is no {name}: {error}") from error


@cache
def _message(name: str) -> Any:
    return protos.message(f"tensorflow.serving.{name}")


def _specify(model_spec: Any, target: Target) -> None:
    model_spec.name = target.model
    if target.version is not None:
        model_spec.version.value = target.version
    elif target.label is not None:
        model_spec.version_label = target.label
