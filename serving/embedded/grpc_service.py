"""PredictionService and ModelService over gRPC, on TensorFlow Serving's own stubs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.embedded import describe, model_config, tensors
from serving.embedded.errors import StatusError, invalid_argument
from serving.embedded.model import Version
from serving.embedded.models import Models
from serving.embedded.predict import DEFAULT_SIGNATURE, predict


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata; what is not defined here the stubs answer with UNIMPLEMENTED."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def Predict(self, request: predict_pb2.PredictRequest, context: Any) -> predict_pb2.PredictResponse:
        """The outputs in typed fields, with the version that answered."""
        with _answering(context), _serving(self._models, request) as version:
            assert version.servable is not None
            signature = request.model_spec.signature_name or DEFAULT_SIGNATURE
            inputs = {alias: _to_array(alias, proto) for alias, proto in request.inputs.items()}
            outputs = predict(version.servable, signature, inputs, list(request.output_filter))
            response = predict_pb2.PredictResponse()
            response.model_spec.name = request.model_spec.name
            response.model_spec.version.value = version.number
            response.model_spec.signature_name = signature
            for alias, array in outputs.items():
                response.outputs[alias].CopyFrom(tensors.to_proto(array))
            return response

    def GetModelMetadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: Any
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """The signatures; `signature_def` is the one metadata field there is."""
        with _answering(context):
            _need_model_spec(request)
            if not request.metadata_field:
                raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
            for field in request.metadata_field:
                if field != describe.SIGNATURE_DEF:
                    raise invalid_argument(f"Metadata field {field} is not supported")
            with _serving(self._models, request) as version:
                return describe.metadata(request.model_spec.name, version)


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus and HandleReloadConfigRequest."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest, context: Any
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """Every version of a model, or one; a label is ignored, as in the real server."""
        with _answering(context):
            _need_model_spec(request)
            specification = request.model_spec
            number = specification.version.value if specification.HasField("version") else None
            return describe.status(self._models, specification.name, number)

    def HandleReloadConfigRequest(
        self, request: model_management_pb2.ReloadConfigRequest, context: Any
    ) -> model_management_pb2.ReloadConfigResponse:
        """Replaces the whole model list, and answers when each new model is served."""
        with _answering(context):
            self._models.reload(model_config.settings(request.config))
        return model_management_pb2.ReloadConfigResponse()


def add_to(server: grpc.Server, models: Models) -> None:
    """Registers both services."""
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(models), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(models), server)


@contextmanager
def _answering(context: Any) -> Iterator[None]:
    """Turns a StatusError into the call's status."""
    try:
        yield
    except StatusError as error:
        context.abort(grpc.StatusCode[error.code], error.message)


@contextmanager
def _serving(models: Models, request: Any) -> Iterator[Version]:
    _need_model_spec(request)
    specification = request.model_spec
    choice = specification.WhichOneof("version_choice")
    number = specification.version.value if choice == "version" else None
    label = specification.version_label if choice == "version_label" else None
    with models.serving(specification.name, number, label) as version:
        yield version


def _need_model_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")


def _to_array(alias: str, proto: Any) -> Any:
    try:
        return tensors.to_array(proto)
    except ValueError as error:
        raise invalid_argument(f"tensor parsing error: {alias}") from error
