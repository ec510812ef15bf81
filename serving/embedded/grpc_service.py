"""PredictionService and ModelService over gRPC, on TensorFlow Serving's own stubs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator

import grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from serving.embedded import classify, describe, grpc_results, model_config, multi_inference, regress, tensors
from serving.embedded.errors import StatusError, invalid_argument
from serving.embedded.model import Version
from serving.embedded.models import Models
from serving.embedded.predict import DEFAULT_SIGNATURE, predict

_LONGEST_SECONDS = 10**6
"""A deadline beyond it is none; the graph's own counts milliseconds in 32 bits."""


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict, Classify, Regress, MultiInference and GetModelMetadata."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def Predict(self, request: predict_pb2.PredictRequest, context: Any) -> predict_pb2.PredictResponse:
        """The outputs in typed fields, with the version that answered."""
        with _answering(context), _serving(self._models, request) as version:
            assert version.servable is not None
            signature, timeout_ms = request.model_spec.signature_name, _timeout_ms(context)
            outputs = predict(version.servable, signature, request.inputs, request.output_filter, timeout_ms)
            response = predict_pb2.PredictResponse(model_spec=_answered_by(request.model_spec, version))
            for alias, array in outputs.items():
                response.outputs[alias].CopyFrom(tensors.to_proto(array))
            return response

    def Classify(
        self, request: classification_pb2.ClassificationRequest, context: Any
    ) -> classification_pb2.ClassificationResponse:
        """Labels and scores for each example."""
        with _answering(context), _serving(self._models, request) as version:
            assert version.servable is not None
            signature = request.model_spec.signature_name
            found = classify.classify(version.servable, signature, request.input, _timeout_ms(context))
            answered_by, result = _answered_by(request.model_spec, version), grpc_results.classifications(found)
            return classification_pb2.ClassificationResponse(model_spec=answered_by, result=result)

    def Regress(self, request: regression_pb2.RegressionRequest, context: Any) -> regression_pb2.RegressionResponse:
        """A number for each example."""
        with _answering(context), _serving(self._models, request) as version:
            assert version.servable is not None
            signature = request.model_spec.signature_name
            found = regress.regress(version.servable, signature, request.input, _timeout_ms(context))
            answered_by, result = _answered_by(request.model_spec, version), grpc_results.regressions(found)
            return regression_pb2.RegressionResponse(model_spec=answered_by, result=result)

    def MultiInference(
        self, request: inference_pb2.MultiInferenceRequest, context: Any
    ) -> inference_pb2.MultiInferenceResponse:
        """One result for each task; the first task's model and version answer them all."""
        first = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        with _answering(context), _lent(self._models, first) as version:
            assert version.servable is not None
            response = inference_pb2.MultiInferenceResponse()
            found = multi_inference.infer(version.servable, request, _timeout_ms(context))
            for task, result in zip(request.tasks, found):
                answer = response.results.add(model_spec=_answered_by(task.model_spec, version))
                if task.method_name == classify.METHOD:
                    answer.classification_result.CopyFrom(grpc_results.classifications(result))
                else:
                    answer.regression_result.CopyFrom(grpc_results.regressions(result))
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
                    # The real server forgets to put the name where it wants it.
                    raise invalid_argument(f"Metadata field %s is not supported{field}")
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
    with _lent(models, request.model_spec) as version:
        yield version


@contextmanager
def _lent(models: Models, specification: model_pb2.ModelSpec) -> Iterator[Version]:
    choice = specification.WhichOneof("version_choice")
    number = specification.version.value if choice == "version" else None
    label = specification.version_label if choice == "version_label" else None
    with models.serving(specification.name, number, label) as version:
        yield version


def _need_model_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")


def _timeout_ms(context: Any) -> int:
    """What is left of the caller's deadline, for the graph; 0 when there is none."""
    seconds = context.time_remaining()
    if seconds is None or seconds > _LONGEST_SECONDS:
        return 0
    return max(1, int(seconds * 1000))


def _answered_by(asked: model_pb2.ModelSpec, version: Version) -> model_pb2.ModelSpec:
    specification = model_pb2.ModelSpec(name=asked.name, signature_name=asked.signature_name or DEFAULT_SIGNATURE)
    specification.version.value = version.number
    return specification
