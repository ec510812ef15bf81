"""PredictionLog records: what a server was asked, and what it answered where that was logged as well."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Dict, List, Mapping

import numpy as np
from google.protobuf.message import DecodeError

from serving import records
from serving.client import tensors
from serving.client.errors import ServerFailed
from signatures import protos
from signatures.errors import UsageError

PATH_IN_EXPORT = "assets.extra/tf_serving_warmup_requests"
MOST_WARM_UP_RECORDS = 1000


@dataclass(frozen=True)
class Logged:
    """One predict request; `outputs` is empty where no answer was logged."""

    signature: str
    inputs: Dict[str, np.ndarray]
    outputs: Dict[str, np.ndarray]


def read(path: Path) -> List[Logged]:
    """The predict requests of a TFRecord file of PredictionLog, others passed over. Raises UsageError."""
    found = []
    for number, record in enumerate(records.read(path), start=1):
        try:
            log = protos.message("tensorflow.serving.PredictionLog").FromString(record)
            if log.WhichOneof("log_type") == "predict_log":
                found.append(_logged(log.predict_log))
        except (DecodeError, ServerFailed) as error:
            raise UsageError(f"record {number} of {path} is no PredictionLog ({error}); write it again") from error
    return found


def encoded(model: str, signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    """A record that asks for a signature."""
    log = protos.message("tensorflow.serving.PredictionLog")()
    request = log.predict_log.request
    request.model_spec.name, request.model_spec.signature_name = model, signature
    for name, array in inputs.items():
        tensors.fill(request.inputs[name], array)
    content: bytes = log.SerializeToString()
    return content


def _logged(log: Any) -> Logged:
    inputs = {name: _array(proto) for name, proto in log.request.inputs.items()}
    outputs = {name: _array(proto) for name, proto in log.response.outputs.items()}
    return Logged(log.request.model_spec.signature_name or "serving_default", inputs, outputs)


def _array(proto: Any) -> np.ndarray:
    """TensorFlow's own writers shorten a tensor whose last values are equal; the shape tells how many there are."""
    size = prod(dimension.size for dimension in proto.tensor_shape.dim)
    for field, values in proto.ListFields():
        if field.name.endswith("_val") and 0 < len(values) < size:
            values.extend([values[-1]] * (size - len(values)))
    return tensors.read(proto)
