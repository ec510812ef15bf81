"""The models that only this suite needs; `fixtures_serving` has the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

import numpy as np

GRPC_ALONE = ("complex64", "complex128", "float8_e5m2", "float8_e4m3fn", "int4", "uint4")
"""Types that REST cannot carry in any form, beside half, bfloat16 and uint16."""


def save_examples(folder: Path) -> Path:
    """Signatures over serialized tf.Examples with the features x (float, 0 when absent) and id (int64, -1 when absent).

    `serving_default` and `classify`: classes [B, 2] = "no", "yes"; scores [B, 2] = -x, x + id.
    `regress`: [B] = 0.5 x + 2; `regress_column`: the same as [B, 1]. The others are each wrong in one way.
    """
    import tensorflow as tf

    features = {"x": tf.io.FixedLenFeature([], tf.float32, 0.0), "id": tf.io.FixedLenFeature([], tf.int64, -1)}

    def function(body: Any) -> Any:
        def run(inputs: Any) -> Dict[str, Any]:
            parsed = tf.io.parse_example(inputs, features)
            found: Dict[str, Any] = body(parsed["x"], tf.cast(parsed["id"], tf.float32))
            return found

        return tf.function(run, [tf.TensorSpec([None], tf.string, "inputs")], autograph=False)

    def labels(x: Any) -> Any:
        return tf.tile([["no", "yes"]], [tf.size(x), 1])

    def scores(x: Any, number: Any) -> Any:
        return tf.stack([-x, x + number], -1)

    classify = function(lambda x, number: {"classes": labels(x), "scores": scores(x, number)})
    signatures = {
        "serving_default": classify,
        "classify": classify,
        "labels_alone": function(lambda x, number: {"classes": labels(x)}),
        "scores_alone": function(lambda x, number: {"scores": scores(x, number)}),
        "bytes_label": function(lambda x, number: {"classes": tf.fill([tf.size(x), 1], b"\xff")}),
        "flat_scores": function(lambda x, number: {"scores": x}),
        "double_scores": function(lambda x, number: {"scores": tf.cast(scores(x, number), tf.float64)}),
        "one_row": function(lambda x, number: {"scores": tf.constant([[1.0, 2.0]])}),
        "unequal": function(lambda x, number: {"classes": labels(x), "scores": x[:, None]}),
        "neither": function(lambda x, number: {"score": scores(x, number)}),
        "three": function(lambda x, number: {"classes": labels(x), "scores": scores(x, number), "x": x}),
        "regress": function(lambda x, number: {"outputs": 0.5 * x + 2.0}),
        "regress_column": function(lambda x, number: {"outputs": (0.5 * x + 2.0)[:, None]}),
        "regress_wide": function(lambda x, number: {"outputs": scores(x, number)}),
        "regress_one": function(lambda x, number: {"outputs": tf.constant([1.0])}),
        "regress_double": function(lambda x, number: {"outputs": tf.cast(x, tf.float64)}),
        "regress_other": function(lambda x, number: {"y": x}),
        "floats": tf.function(lambda inputs: {"outputs": inputs}, [tf.TensorSpec([None], tf.float32, "inputs")]),
        "id_alone": tf.function(
            lambda inputs: {"outputs": tf.cast(tf.io.parse_example(inputs, {"id": features["id"]})["id"], tf.float32)},
            [tf.TensorSpec([None], tf.string, "inputs")],
        ),
        "other_input": tf.function(lambda x: {"outputs": x}, [tf.TensorSpec([None], tf.float32, "x")]),
    }
    tf.saved_model.save(tf.Module(), str(folder), signatures=signatures)
    return folder


def save_default(folder: Path) -> Path:
    """`y` [B] = x * factor, where factor is 3 unless it is given; signature `strict` has no default."""
    import tensorflow as tf

    three = tf.constant(3.0)
    specs = [tf.TensorSpec([None], tf.float32, "x"), tf.TensorSpec([], tf.float32, "factor")]

    @tf.function(input_signature=specs)
    def scaled(x: Any, factor: Any = three) -> Any:
        return {"y": x * factor}

    module = tf.Module()
    module.scaled = scaled
    tf.saved_model.save(module, str(folder), signatures={"serving_default": scaled})
    return folder


def save_odd(folder: Path) -> Path:
    """Signatures with something odd.

    `nothing_in` has no input; `missing_op` an op that no server knows; `slow` [B] takes `turns` [B] matrix products;
    `xla` demands to be compiled; `unequal`, `doubled`, `none_out` give more or fewer rows than they got;
    `checked` refuses what is not finite; `to_float16` and `to_bfloat16` give types that REST cannot carry.
    """
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "turns")])
    def slow(turns: Any) -> Any:
        matrix = tf.ones([400, 400])
        for _ in tf.range(turns[0]):
            matrix = tf.matmul(matrix, matrix) / tf.norm(matrix)
        return {"y": tf.zeros_like(turns) + tf.cast(matrix[0, 0] * 0, tf.int32)}

    module = tf.Module()
    text = [tf.TensorSpec([None], tf.string, "v")]
    number = [tf.TensorSpec([None], tf.float32, "v")]
    signatures = {
        "serving_default": tf.function(lambda v: {"y": v + 1.0}, number),
        "nothing_in": tf.function(lambda: {"y": tf.constant([1.0])}, []),
        "missing_op": tf.function(lambda v: {"y": tf.strings.length(v)}, text),
        "slow": slow,
        "xla": tf.function(lambda v: {"y": v * 2.0}, number, jit_compile=True),
        "unequal": tf.function(lambda v: {"a": v, "b": tf.concat([v, v], 0)}, number),
        "doubled": tf.function(lambda v: {"y": tf.concat([v, v], 0)}, number),
        "none_out": tf.function(lambda v: {"y": v[:0]}, number),
        "to_float16": tf.function(lambda v: {"y": tf.cast(v, tf.float16)}, number),
        "to_bfloat16": tf.function(lambda v: {"y": tf.cast(v, tf.bfloat16)}, number),
        "checked": tf.function(lambda v: {"y": tf.debugging.check_numerics(v, "v must be finite")}, number),
    }
    tf.saved_model.save(module, str(folder), signatures=signatures)
    file = folder / "saved_model.pb"
    content = file.read_bytes()
    assert content.count(b"StringLength") > 0
    file.write_bytes(content.replace(b"StringLength", b"Scann>Length"))  # as long, so the proto stays whole
    return folder


def save_shape(folder: Path) -> Path:
    """`rows` [B] = how many rows the graph saw, `cells` [B] = the sum of each row's ids [B, L] as it saw them."""
    import tensorflow as tf

    # `other` has no meaning but to be as long as ids, or not.
    specs = [tf.TensorSpec([None, None], tf.int64, "ids"), tf.TensorSpec([None], tf.int64, "other")]

    @tf.function(input_signature=specs)
    def serve(ids: Any, other: Any) -> Any:
        return {"rows": tf.fill(tf.shape(other), tf.shape(ids)[0]), "cells": tf.reduce_sum(ids, -1) + 0 * other}

    tf.saved_model.save(tf.Module(), str(folder), signatures={"serving_default": serve})
    return folder


def save_echo_grpc(folder: Path) -> Path:
    """One signature for each type of `GRPC_ALONE`: v -> v."""
    import tensorflow as tf

    def echo(dtype: Any) -> Any:
        return tf.function(lambda v: {"v": tf.identity(v)}, [tf.TensorSpec(None, dtype, "v")])

    signatures = {name: echo(tf.as_dtype(name)) for name in GRPC_ALONE}
    tf.saved_model.save(tf.Module(), str(folder), signatures=signatures)
    return folder


def write_warm_up(version: Path, *logs: Any) -> None:
    """Writes PredictionLog records as the warm-up file of a version folder."""
    import tensorflow as tf

    (version / "assets.extra").mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(version / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        for log in logs:
            writer.write(log.SerializeToString())


def predict_log(signature: str, **inputs: np.ndarray) -> Any:
    """A warm-up record."""
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.signature_name = signature
    for name, value in inputs.items():
        log.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return log
