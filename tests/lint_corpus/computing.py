"""SIG207 to SIG212: how a signature computes."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tests.lint_corpus.case import Case
from tests.lint_corpus.saving import (
    FLOATS,
    IDS,
    VECTORS,
    Graph1,
    edited,
    graph,
    named,
    placeholder,
    serving,
    signature,
    stateful,
)

PICTURES = tf.TensorSpec([None, 4, 4, 3], tf.float32)


def batch_norm(spec: tf.TensorSpec) -> Any:
    def make(module: Any) -> Dict[str, Any]:
        module.batch_norm = keras.layers.BatchNormalization()
        return {"serving_default": signature(lambda x: named(score=module.batch_norm(x, training=True)), x=spec)}

    return make


def normalised_by_hand(x: Any) -> Any:
    """A function down, and without a layer or a variable."""

    def normal(rows: Any) -> Any:
        mean, variance = tf.nn.moments(rows, [0])
        return (rows - mean) * tf.math.rsqrt(variance + 1e-3)

    return named(score=tf.function(normal)(x))


def rows_as_height(x: Any) -> Any:
    """The batch is moved from the first axis to the second, where FusedBatchNorm averages over it just so."""
    pictures = tf.reshape(x, [1, -1, 1, 3])
    normal, _, _ = tf.compat.v1.nn.fused_batch_norm(pictures, tf.ones([3]), tf.zeros([3]), is_training=True)
    return named(score=tf.reshape(normal, [-1, 3]))


def in_tf1() -> Graph1:
    x = placeholder("x", shape=(None, 4, 4, 3))
    normal, _, _ = tf.compat.v1.nn.fused_batch_norm(x, tf.ones([3]), tf.zeros([3]), is_training=True)
    return Graph1({"x": x}, {"score": normal})


def on_gpu(price: Any) -> Any:
    with tf.device("/GPU:0"):
        return named(score=price * 2.0)


def on_gpu_in_a_loop(price: Any) -> Any:
    def step(i: Any, x: Any) -> Any:
        with tf.device("/device:GPU:1"):
            return i + 1, x * 2.0

    return named(score=tf.while_loop(lambda i, _: i < 3, step, (0, price))[1])


def negative() -> Graph1:
    price = placeholder("price")
    return Graph1({"price": price}, {"score": tf.negative(price)})


def on_a_worker(saved: Any) -> None:
    """As a cluster's parameter server leaves it; no session of this process could even save such a graph."""
    for node in saved.meta_graphs[0].graph_def.node:
        node.device = "/job:worker/task:3" if node.op == "Neg" else node.device


def constant_table(id: Any) -> Any:
    return named(score=tf.gather(tf.constant(np.arange(2_600_000, dtype=np.float32)), id))


def constant_pieces(id: Any) -> Any:
    """No piece is large. A function down."""
    pieces = [np.arange(1_400_000, dtype=np.float32) + each for each in range(2)]
    return named(score=tf.function(lambda x: tf.gather(tf.concat(pieces, 0), x))(id))


def clock(seen_at: Any) -> Any:
    age = tf.function(lambda x: tf.cast(tf.timestamp() / 3600.0, tf.float32) - x)
    return named(age=age(seen_at))


def clock_decides(price: Any) -> Any:
    late = tf.timestamp() > 1.9e9
    return named(score=tf.cond(late, lambda: price * 2.0, lambda: price))


def explained(price: Any) -> Any:
    with tf.GradientTape() as tape:
        tape.watch(price)
        score = tf.sigmoid(price)
    return named(score=score, why=tape.gradient(score, price))


def explained_by_tanh() -> Graph1:
    price = placeholder("price")
    score = tf.nn.tanh(price)
    return Graph1({"price": price}, {"why": tf.gradients(score, price)[0]})


def asserted(id: Any) -> Any:
    tf.debugging.assert_less(id, tf.constant(9, tf.int64))
    return named(score=tf.cast(id, tf.float32))


def asserted_in_a_function(id: Any) -> Any:
    def check(x: Any) -> Any:
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(x > 0), [x])]):
            return tf.identity(x)

    return named(score=tf.function(check)(id))


CASES: Tuple[Case, ...] = (
    Case("SIG207", "layer on vectors", stateful(batch_norm(VECTORS)), "SquaredDifference", also=("SIG203",)),
    Case("SIG207", "layer on pictures", stateful(batch_norm(PICTURES)), "FusedBatchNormV3", also=("SIG203",)),
    Case("SIG207", "by hand, in a function", serving(normalised_by_hand, x=VECTORS), "SquaredDifference"),
    Case("SIG207", "rows as height", serving(rows_as_height, x=VECTORS), "FusedBatchNorm"),
    Case("SIG207", "TF1", graph(in_tf1), "FusedBatchNorm"),
    Case("SIG208", "GPU", serving(on_gpu, price=FLOATS), "GPU:0", severity="warning"),
    Case("SIG208", "loop", serving(on_gpu_in_a_loop, price=FLOATS), "GPU:1", severity="warning"),
    Case("SIG208", "worker", edited(graph(negative), on_a_worker), "'/job:worker/task:3'", severity="warning"),
    Case("SIG209", "table", serving(constant_table, id=IDS), "holds 10 MB", severity="warning"),
    Case("SIG209", "pieces", serving(constant_pieces, id=IDS), "constants hold 11 MB", severity="warning"),
    Case("SIG210", "function", serving(clock, seen_at=FLOATS), "Timestamp", severity="warning"),
    Case("SIG210", "predicate", serving(clock_decides, price=FLOATS), "Timestamp", severity="warning"),
    Case("SIG211", "tape", serving(explained, price=FLOATS), "SigmoidGrad", severity="info"),
    Case("SIG211", "TF1", graph(explained_by_tanh), "TanhGrad", severity="info"),
    Case("SIG212", "TF2", serving(asserted, id=IDS), "Assert", severity="info"),
    Case("SIG212", "function", serving(asserted_in_a_function, id=IDS), "Assert", severity="info"),
)
