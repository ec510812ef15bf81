"""PredictionService and ModelService over a plain gRPC channel, with messages built without TensorFlow."""

from __future__ import annotations

from typing import Any, Callable, List, Mapping, Sequence

import grpc
import numpy as np

from serving.client import tensors
from serving.client.contract import Tensor
from serving.client.errors import from_code
from serving.client.transport import Answer, Target, VersionStatus
from signatures.protos import message

_PREDICTION = "/tensorflow.serving.PredictionService/"
_MODEL = "/tensorflow.serving.ModelService/"


class GrpcTransport:
    """One channel to one server, reused by every call and safe to share between threads."""

    def __init__(self, host: str = "127.0.0.1", port: int = 8500) -> None:
        self.address = f"{host}:{port}"
        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._channel = grpc.insecure_channel(self.address, options=unlimited)

    def predict(
        self, target: Target, arrays: Mapping[str, np.ndarray], outputs: Mapping[str, Tensor], wanted: Sequence[str],
        seconds: float,
    ) -> Answer:
        """Runs a signature; the answer tells the version."""
        request = message("tensorflow.serving.PredictRequest")()
        _specify(request.model_spec, target)
        request.model_spec.signature_name = target.signature
        for name, array in arrays.items():
            tensors.fill(request.inputs[name], array)
        request.output_filter.extend(wanted)
        response = self._call(_PREDICTION + "Predict", request, "PredictResponse", seconds)
        found = {name: tensors.read(proto) for name, proto in response.outputs.items()}
        return Answer(found, response.model_spec.version.value)

    def signatures(self, target: Target, seconds: float) -> Any:
        """The SignatureDefMap of a version."""
        request = message("tensorflow.serving.GetModelMetadataRequest")(metadata_field=["signature_def"])
        _specify(request.model_spec, target)
        response = self._call(_PREDICTION + "GetModelMetadata", request, "GetModelMetadataResponse", seconds)
        return message("tensorflow.serving.SignatureDefMap").FromString(response.metadata["signature_def"].value)

    def status(self, target: Target, seconds: float) -> List[VersionStatus]:
        """Every version of a model, or the one of the target."""
        request = message("tensorflow.serving.GetModelStatusRequest")()
        _specify(request.model_spec, target)
        response = self._call(_MODEL + "GetModelStatus", request, "GetModelStatusResponse", seconds)
        states = message("tensorflow.serving.ModelVersionStatus").State
        return [
            VersionStatus(told.version, states.Name(told.state), told.status.error_message)
            for told in response.model_version_status
        ]

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def _call(self, method: str, request: Any, response: str, seconds: float) -> Any:
        deserialize: Callable[[bytes], Any] = message(f"tensorflow.serving.{response}").FromString
        call = self._channel.unary_unary(method, type(request).SerializeToString, deserialize)
        try:
            return call(request, timeout=seconds)
        except grpc.RpcError as error:
            code, details = error.code().name, error.details() or ""
            told = f"{self.address} is not reachable: {details}" if code == "UNAVAILABLE" else details
            raise from_code(code, told or code) from error


def _specify(model_spec: Any, target: Target) -> None:
    model_spec.name = target.model
    if target.version is not None:
        model_spec.version.value = target.version
    elif target.label is not None:
        model_spec.version_label = target.label
