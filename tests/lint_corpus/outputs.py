"""SIG105 to SIG111, SIG113, SIG114: what a signature answers, what it is called, what the file says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Tuple

import tensorflow as tf
import tf_keras as keras

from tests.lint_corpus.case import Case
from tests.lint_corpus.saving import (
    FLOATS,
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


def doubled(price: Any) -> Any:
    return named(score=price * 2.0)


def only_rank(module: Any) -> Dict[str, Any]:
    return {"rank": signature(doubled, price=FLOATS), "embed": signature(doubled, price=FLOATS)}


def no_signature(folder: Path) -> None:
    module = tf.Module()
    module.call = tf.function(doubled)
    module.call(tf.ones([2]))
    tf.saved_model.save(module, str(folder))


def keras_names(folder: Path) -> None:
    """A functional model whose input nobody named."""
    inputs = keras.Input([3], name="input_1")
    keras.Model(inputs, keras.layers.Dense(1, name="score")(inputs)).export(str(folder))


def answer_without_a_name(folder: Path) -> None:
    stateful(lambda module: {"serving_default": signature(lambda price: price * 2.0, price=FLOATS)})(folder)


def centred(price: Any) -> Any:
    return named(score=price - tf.reduce_mean(price, axis=0))


def in_batch_softmax(user: Any, item: Any) -> Any:
    """Each user against the items of all the rows, a function down."""
    scores = tf.function(lambda x, y: tf.nn.softmax(tf.matmul(x, y, transpose_b=True)))(user, item)
    return named(score=tf.linalg.diag_part(scores))


def all_pairs(user: Any, item: Any) -> Any:
    return named(score=tf.einsum("bd,cd->bc", user, item))


def softmax_over_rows(price: Any) -> Any:
    return named(score=tf.transpose(tf.nn.softmax(tf.transpose(price))))


def running_total(price: Any) -> Any:
    return named(score=tf.cond(tf.size(price) > 1, lambda: tf.cumsum(price), lambda: price))


def of_training() -> Graph1:
    price = placeholder("price")
    return Graph1({"price": price}, {"score": price * 2.0}, method="tensorflow/supervised/training")


def would_be_classifier() -> Graph1:
    price = placeholder("price")
    return Graph1({"price": price}, {"scores": price * 2.0}, method="tensorflow/serving/classify")


def twice(saved: Any) -> None:
    saved.meta_graphs.add().CopyFrom(saved.meta_graphs[0])


def also_for_tpu(saved: Any) -> None:
    twice(saved)
    saved.meta_graphs[0].meta_info_def.tags.append("tpu")


def bias_alone(module: Any) -> Dict[str, Any]:
    module.bias = tf.Variable(0.5)
    return {
        "serving_default": signature(lambda price: named(score=tf.fill(tf.shape(price), module.bias)), price=FLOATS)
    }


def same_in_both_branches(price: Any) -> Any:
    """The input decides which of two functions answers, and not what they answer."""
    kept = tf.function(lambda x: tf.ones_like(x))(price)
    return named(score=tf.zeros_like(price) + kept)


def with_version(price: Any) -> Any:
    return named(score=price, version=tf.constant("2024-05-01"))


def with_prior(module: Any) -> Dict[str, Any]:
    module.prior = tf.Variable(0.5)
    prior = lambda price: named(score=price, prior=tf.fill(tf.shape(price), module.prior))  # noqa: E731
    return {"serving_default": signature(prior, price=FLOATS)}


def frozen_sum() -> Graph1:
    price = placeholder("price")
    return Graph1({"price": price}, {"score": tf.fill(tf.shape(price), 1.0)})


def tf1() -> Graph1:
    price = placeholder("price")
    return Graph1({"price": price}, {"score": price * 2.0})


CASES: Tuple[Case, ...] = (
    Case("SIG105", "other names", stateful(only_rank), "only embed, rank", severity="warning"),
    Case("SIG105", "module without signatures", no_signature, "there is no signature"),
    Case("SIG106", "answer without a name", answer_without_a_name, "'output_0'", severity="info"),
    Case("SIG106", "input of Keras", keras_names, "'input_1'", severity="info"),
    Case(
        "SIG107",
        "mean of the batch",
        serving(lambda price: named(mean=tf.reduce_mean(price)), price=FLOATS),
        "'mean' is a scalar",
        severity="warning",
    ),
    Case(
        "SIG107",
        "four rows",
        serving(lambda price: named(kept=tf.reshape(price, [4])), price=FLOATS),
        "'kept' always has 4 rows",
        severity="warning",
    ),
    Case(
        "SIG107",
        "unknown rank",
        serving(lambda price: named(kept=tf.reshape(price, tf.cast(price, tf.int32))), price=FLOATS),
        "'kept' has an unknown rank",
        severity="warning",
    ),
    Case(
        "SIG108",
        "output",
        serving(lambda price: named(score=tf.cast(price, tf.float64)), price=FLOATS),
        "'score' is float64",
        severity="warning",
    ),
    Case(
        "SIG108",
        "input",
        serving(lambda price: named(score=tf.cast(price, tf.float32)), price=tf.TensorSpec([None], tf.float64)),
        "'price' is float64",
        severity="warning",
    ),
    Case("SIG109", "centred by the batch", serving(centred, price=VECTORS), "Mean", severity="info"),
    Case(
        "SIG109", "in-batch softmax", serving(in_batch_softmax, user=VECTORS, item=VECTORS), "MatMul", severity="info"
    ),
    Case("SIG109", "einsum of all pairs", serving(all_pairs, user=VECTORS, item=VECTORS), "Einsum", severity="info"),
    Case(
        "SIG109",
        "softmax over rows",
        serving(softmax_over_rows, price=tf.TensorSpec([None, None], tf.float32)),
        "Softmax",
        severity="info",
    ),
    Case("SIG109", "running total in a branch", serving(running_total, price=FLOATS), "Cumsum", severity="info"),
    Case("SIG110", "training", graph(of_training), "'tensorflow/supervised/training'"),
    Case("SIG110", "classifier without examples", graph(would_be_classifier), "'classes' or 'scores'"),
    Case("SIG111", "saved twice", edited(graph(tf1), twice), "2 meta graphs", severity="warning"),
    Case("SIG111", "one for another device", edited(graph(tf1), also_for_tpu), "2 meta graphs", severity="info"),
    Case("SIG113", "bias", stateful(bias_alone), "'score'", also=("SIG104",)),
    Case("SIG113", "zeros and ones", serving(same_in_both_branches, price=FLOATS), "'score'", also=("SIG104",)),
    Case("SIG113", "filled", graph(frozen_sum), "'score'", also=("SIG104",)),
    Case("SIG113", "prior beside a score", stateful(with_prior), "'prior'", severity="warning"),
    Case(
        "SIG113",
        "version beside a score",
        serving(with_version, price=FLOATS),
        "'version'",
        severity="info",
        also=("SIG107",),
    ),
    Case("SIG114", "GPU", graph(tf1, "serve", "gpu"), "'gpu'"),
    Case("SIG114", "TPU and training", graph(tf1, "serve", "tpu", "train"), "'tpu', 'train'"),
)
