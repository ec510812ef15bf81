"""Requests of a server's log with their answers: those that were logged, or the running server's own."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import List, Optional, Tuple

from serving import connecting, prediction_logs
from serving.client.client import Client
from serving.client.grpc_transport import GrpcTransport
from serving.prediction_logs import Logged
from signatures.errors import UsageError


def answered(
    file: Path, model: str, version: Optional[int], count: int, address: Tuple[str, int, float]
) -> List[Logged]:
    """`count` of the requests in a TFRecord file of PredictionLog, drawn with a fixed seed, all of them answered.

    address: host, port and deadline in seconds of the server that is asked where no answer was logged. Raises
    UsageError where the file holds no predict request.
    """
    found = prediction_logs.read(file)
    if not found:
        raise UsageError(f"{file} holds no predict request; give a log of predict requests with --log")
    chosen = found if len(found) <= count else random.Random(0).sample(found, count)
    if all(each.outputs for each in chosen):
        return chosen
    host, port, deadline = address
    with connecting.errors_told(), Client(GrpcTransport(host, port), deadline_seconds=deadline) as client:
        return [each if each.outputs else replace(each, outputs=client.predict(
            model, each.inputs, each.signature, version=version).outputs) for each in chosen]
