"""Warm-up records: requests that a server replays while it loads a version, so that nobody waits for the first call."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Mapping

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from pipeline import wire
from pipeline.rows import Rows
from signatures.manifest import Manifest

PATH_IN_EXPORT = "assets.extra/tf_serving_warmup_requests"


def write(folder: Path, manifest: Manifest, requests: Mapping[str, Rows]) -> None:
    """One record a signature: the first row of its requests. Goes into an export that is still in its work folder."""
    path = folder / PATH_IN_EXPORT
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, signature in manifest.signatures.items():
            first = {column: cells[:1] for column, cells in requests[name].items()}
            request = predict_pb2.PredictRequest()
            request.model_spec.name = manifest.model
            request.model_spec.signature_name = name
            for column, tensor in wire.tensors(signature.inputs, first).items():
                request.inputs[column].CopyFrom(tf.make_tensor_proto(tensor))
            log = prediction_log_pb2.PredictLog(request=request)
            writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())


def replay(folder: Path, loaded: Any, manifest: Manifest) -> List[str]:
    """Answers every record with the loaded model; what went wrong, empty when nothing did."""
    answered = set()
    for record in tf.data.TFRecordDataset(str(folder / PATH_IN_EXPORT)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        name = request.model_spec.signature_name
        if name not in manifest.signatures:
            return [f"warm-up record for signature {name!r}, which the model does not have"]
        loaded.signatures[name](**{k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()})
        answered.add(name)
    missing = set(manifest.signatures) - answered
    return [f"no warm-up record for signature {name!r}" for name in sorted(missing)]
