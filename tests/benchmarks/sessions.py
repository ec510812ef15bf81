"""An exported model run as TensorFlow Serving runs it: one Session over the file, on requests that are decoded already.

A call from Python through the functions of a loaded model would add up to half a millisecond of its own, most of it for
handing over the variables, which a server written in C++ does not have.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from pipeline.rows import Rows

Call = Callable[[], Dict[str, np.ndarray]]


def calls(export: Path, asked: Mapping[str, Rows]) -> Dict[str, Call]:
    """By signature, what answers its request. The requests are held in the Session, so that a call feeds nothing."""
    described = saved_model_pb2.SavedModel.FromString((export / "saved_model.pb").read_bytes())
    signatures = described.meta_graphs[0].signature_def
    with tf.Graph().as_default() as graph:
        session = tf.compat.v1.Session(graph=graph)
        held = {
            signatures[name].inputs[column].name: tf.compat.v1.Variable(
                cells.astype(str) if cells.dtype == object else cells, trainable=False, use_resource=True,
                name=f"request_{name}_{column}",  # a name that the model has too would be the model's own variable
            )
            for name, rows in asked.items() for column, cells in rows.items()
        }
        taken = {place: variable.read_value() for place, variable in held.items()}
        tf.compat.v1.saved_model.load(session, ["serve"], str(export), input_map=taken)
        session.run([variable.initializer for variable in held.values()])
        return {name: _call(session, signatures[name].outputs) for name in asked}


def _call(session: Any, outputs: Mapping[str, Any]) -> Call:
    run = session.make_callable([output.name for output in outputs.values()])
    return lambda: dict(zip(outputs, run()))
