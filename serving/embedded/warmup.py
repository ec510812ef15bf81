"""Replays the warm-up records of an export before its first real request."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from serving.embedded.classify import classify
from serving.embedded.errors import StatusError, invalid_argument
from serving.embedded.multi_inference import infer
from serving.embedded.predict import predict
from serving.embedded.regress import regress
from serving.embedded.servable import Servable, from_op_error

PATH_IN_EXPORT = Path("assets.extra") / "tf_serving_warmup_requests"
_MOST_RECORDS = 1000


def replay(servable: Servable, path: Path, iterations: int = 1) -> int:
    """The number of records replayed, 0 when the export has none. Raises StatusError when one of them fails."""
    file = path / PATH_IN_EXPORT
    if not file.is_file():
        return 0
    count = 0
    try:
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            count += 1
            if count > _MOST_RECORDS:
                raise invalid_argument(f"Number of warmup records exceeds the maximum ({_MOST_RECORDS}) at {file}")
            for _ in range(max(1, iterations)):
                _run(servable, prediction_log_pb2.PredictionLog.FromString(record))
    except tf.errors.DataLossError as error:
        text = f"{error.message}. Please verify your warmup data is in TFRecord format."
        raise StatusError("DATA_LOSS", text) from error
    except tf.errors.OpError as error:
        raise from_op_error(error) from error
    except DecodeError as error:
        raise invalid_argument(f"Failed to parse warmup record {count} from {file}") from error
    return count


def _run(servable: Servable, log: prediction_log_pb2.PredictionLog) -> None:
    """Runs what was logged; a record without any request is passed over, as in the real server."""
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        asked = log.predict_log.request
        predict(servable, asked.model_spec.signature_name, asked.inputs, asked.output_filter)
    elif kind == "classify_log":
        classify(servable, log.classify_log.request.model_spec.signature_name, log.classify_log.request.input)
    elif kind == "regress_log":
        regress(servable, log.regress_log.request.model_spec.signature_name, log.regress_log.request.input)
    elif kind == "multi_inference_log":
        infer(servable, log.multi_inference_log.request)
    elif kind is not None:
        number = prediction_log_pb2.PredictionLog.DESCRIPTOR.fields_by_name[kind].number
        raise StatusError("UNIMPLEMENTED", f"Unsupported log_type for warmup: {number}")
