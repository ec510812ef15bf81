"""Counts and times the calls over gRPC, from outside the services."""

from __future__ import annotations

import time
from typing import Any, Callable

import grpc

from serving.embedded.metrics.meters import Meters

_SERVICE = "/tensorflow.serving.PredictionService/"
_APIS = ("Predict", "Classify", "Regress")
"""The calls that the real server counts; not MultiInference, metadata or status."""


class Measured(grpc.ServerInterceptor):
    """Adds to `request_count`, and for calls answered OK to `request_latency`."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        """The handler that the services give, measured where the real server measures."""
        handler = continuation(handler_call_details)
        service, _, api = handler_call_details.method.rpartition("/")
        if handler is None or f"{service}/" != _SERVICE or api not in _APIS:
            return handler

        def measured(request: Any, context: Any) -> Any:
            started = time.perf_counter()
            code = "UNKNOWN"
            try:
                response = handler.unary_unary(request, context)
                code = "OK"
                return response
            except BaseException:
                code = _code(context)
                raise
            finally:
                self._count(request.model_spec.name, api, code, time.perf_counter() - started)

        return grpc.unary_unary_rpc_method_handler(
            measured, handler.request_deserializer, handler.response_serializer
        )

    def _count(self, model: str, api: str, code: str, seconds: float) -> None:
        self._meters.request_count.add((model, code))
        if code == "OK":
            self._meters.request_latency.add((model, api, "GRPC"), seconds * 1e6)


def _code(context: Any) -> str:
    """The status that the call was aborted with; none is set when the service broke."""
    code = context.code()
    return str(code.name) if isinstance(code, grpc.StatusCode) else "UNKNOWN"
