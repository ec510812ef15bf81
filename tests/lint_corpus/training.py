"""SIG401 to SIG403: training graphs that look at what they must predict, or past it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Tuple

import tensorflow as tf

from tests.lint_corpus.case import Build, Case, Clean
from tests.lint_corpus.saving import Graph1, graph, placeholder

NAMES = ("features/price", "labels/click", "masks/click", "sample_weights/click")
Batch = Dict[str, Any]


def training_graph(
    predict: Callable[[Any, Batch, Any], Any] = lambda module, batch, logits: logits,
    weigh: Callable[[Batch], Any] = lambda batch: batch["masks/click"] * batch["sample_weights/click"],
    label: Callable[[Batch], Any] = lambda batch: batch["labels/click"],
) -> Build:
    """A click model. `predict` gives the logits, `weigh` the weight of each row, `label` what is learnt."""

    def build(folder: Path) -> None:
        module = tf.Module()
        module.weight, module.state = tf.Variable(0.5), tf.Variable([0.0], shape=[None])

        def run(batch: Batch) -> Batch:
            logits = predict(module, batch, batch["features/price"] * module.weight)
            losses = tf.nn.sigmoid_cross_entropy_with_logits(label(batch), logits)
            weights = weigh(batch)
            total = tf.reduce_sum(losses * weights) / tf.maximum(tf.reduce_sum(weights), 1.0)
            return {"loss": total, "predictions/click": tf.sigmoid(logits)}

        specs = [{name: tf.TensorSpec([None], tf.float32, name) for name in NAMES}]
        tf.saved_model.save(module, str(folder), signatures=tf.function(run, input_signature=specs))

    return build


def by_predicate(module: Any, batch: Batch, logits: Any) -> Any:
    return tf.cond(tf.reduce_any(batch["masks/click"] > 0), lambda: logits * 2.0, lambda: logits)


def by_index(module: Any, batch: Batch, logits: Any) -> Any:
    pick = tf.function(lambda label: tf.gather(tf.constant([0.0, 0.1]), tf.cast(label, tf.int32)))
    return logits + pick(batch["labels/click"])


def by_variable(module: Any, batch: Batch, logits: Any) -> Any:
    module.state.assign(batch["sample_weights/click"])
    return logits + module.state


def ones(batch: Batch) -> Any:
    return batch["masks/click"] * tf.ones_like(batch["sample_weights/click"])


def forgotten_in_a_function(batch: Batch) -> Any:
    take = tf.function(lambda mask, weight: (mask, weight))
    return take(batch["masks/click"], batch["sample_weights/click"])[1]


def hidden_placeholder(where: str) -> Callable[[], Graph1]:
    """A placeholder that the signature does not list: in the loss, or before the prediction."""

    def make() -> Graph1:
        inputs = {name: placeholder(name.replace("/", "_")) for name in NAMES}
        other = placeholder("epoch", shape=())
        logits = inputs["features/price"] * (other if where == "prediction" else 1.0)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(inputs["labels/click"], logits)
        weights = inputs["masks/click"] * inputs["sample_weights/click"]
        loss = tf.reduce_sum(losses * weights) * (other if where == "loss" else 1.0)
        return Graph1(inputs, {"loss": loss, "predictions/click": tf.sigmoid(logits)})

    return make


CASES: Tuple[Case, ...] = (
    Case("SIG401", "predicate", training_graph(by_predicate), "'predictions/click' depends on 'masks/click'"),
    Case("SIG401", "gather index", training_graph(by_index), "'predictions/click' depends on 'labels/click'"),
    Case("SIG401", "variable", training_graph(by_variable), "'predictions/click' depends on 'sample_weights/click'"),
    Case("SIG402", "ones in its place", training_graph(weigh=ones), "'sample_weights/click'"),
    Case("SIG402", "forgotten in a function", training_graph(weigh=forgotten_in_a_function), "'masks/click'"),
    Case("SIG402", "label", training_graph(label=lambda batch: tf.zeros_like(batch["labels/click"])), "'labels/click'"),
    Case("SIG403", "loss", graph(hidden_placeholder("loss")), "'epoch'"),
    Case("SIG403", "prediction", graph(hidden_placeholder("prediction")), "'epoch'"),
)

CLEAN: Tuple[Clean, ...] = (
    Clean("pure training graph", training_graph(), ("SIG401", "SIG402", "SIG403", "SIG101", "SIG107", "SIG115")),
)
