"""The one place that weights, masks and reduces: by hand, on a model whose loss is its label."""

from __future__ import annotations

from typing import Dict, Optional

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from pipeline.batches import TrainingBatch
from pipeline.schema import Task
from pipeline.training_graph import TrainingGraph, reduce

PLAIN = Task(name="click", label="y")
FULL = Task(name="click", label="y", mask="m", sample_weight="w")


def batch(y: list, m: Optional[list] = None, w: Optional[list] = None, x: Optional[list] = None) -> TrainingBatch:
    number = lambda values: tf.constant(values, tf.float32)  # noqa: E731
    return TrainingBatch(
        {"x": number(x if x is not None else [1.0] * len(y))},
        {"y": number(y)},
        {} if m is None else {"m": number(m)},
        {} if w is None else {"w": number(w)},
    )


class Slope(keras.Model):
    """a x, with squared error: every gradient can be done by hand."""

    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self.a = self.add_weight(name="a", shape=(), initializer=keras.initializers.Constant(start))

    def call(self, features: Dict[str, tf.Tensor], training: bool = False) -> Dict[str, tf.Tensor]:
        return {"click": self.a * features["x"]}

    def losses(self, batch: TrainingBatch, training: bool) -> Dict[str, tf.Tensor]:
        return {"click": tf.square(self(batch.features)["click"] - batch.labels["y"])}


def graph(accumulate: int = 1, rate: float = 0.1, task: Task = PLAIN) -> TrainingGraph:
    made = TrainingGraph(Slope(), (task,), {}, accumulate)
    made.compile(optimizer=keras.optimizers.SGD(rate))
    made.prepare(batch([1.0]))
    return made


def test_the_mean_is_weighted_and_masked() -> None:
    # (2*1 + 0.5*4) / (2 + 0.5): row 1 is masked, row 3 weighs nothing.
    rows = batch([0, 0, 0, 0], m=[1, 0, 1, 1], w=[2, 9, 0.5, 0])
    assert reduce(tf.constant([1.0, 100.0, 4.0, 50.0]), FULL, rows).numpy() == pytest.approx(4.0 / 2.5)


def test_weights_below_one_in_sum_do_not_blow_the_loss_up() -> None:
    # sum(w) = 0.25 counts as 1, so the loss is 0.25 * 8 and not 8.
    assert reduce(tf.constant([8.0]), FULL, batch([0], m=[1], w=[0.25])).numpy() == pytest.approx(2.0)


def test_nothing_counted_is_zero_and_not_nan() -> None:
    assert reduce(tf.constant([np.nan, 3.0]), FULL, batch([0, 0], m=[0, 0], w=[1, 1])).numpy() == 0.0


def test_task_weights_weigh_the_total() -> None:
    made = TrainingGraph(Slope(), (PLAIN,), {"click": 3.0})
    total, by_task = made.loss_of(batch([2.0]), training=False)
    assert (total.numpy(), by_task["click"].numpy()) == (12.0, 4.0)  # (0 * 1 - 2)^2, times 3


def test_one_step_by_hand() -> None:
    made = graph()
    made.fit(tf.data.Dataset.from_tensors(batch([1.0, 3.0])), verbose=0)
    # d/da mean((a - y)^2) = 2 mean(a - y) = -4 at a = 0; the rate is 0.1.
    assert made.model.a.numpy() == pytest.approx(0.4)


def test_accumulated_batches_make_one_step_of_their_mean() -> None:
    made = graph(accumulate=2)
    made.fit(tf.data.Dataset.from_tensors(batch([1.0])), verbose=0)
    assert made.model.a.numpy() == 0.0
    made.fit(tf.data.Dataset.from_tensors(batch([3.0])), verbose=0)
    # Gradients -2 and -6 at a = 0, so their mean -4 and the rate 0.1 give 0.4; then the sums start anew.
    assert made.model.a.numpy() == pytest.approx(0.4)
    made.fit(tf.data.Dataset.from_tensors(batch([0.4])).repeat(2), verbose=0)
    assert made.model.a.numpy() == pytest.approx(0.4)


def test_loss_scaling_leaves_the_step_as_it_is() -> None:
    plain, scaled = graph(), graph()
    scaled.compile(optimizer=keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.1)))
    for made in (plain, scaled):
        made.fit(tf.data.Dataset.from_tensors(batch([1.0, 3.0])), verbose=0)
    assert scaled.model.a.numpy() == pytest.approx(plain.model.a.numpy())


def test_fit_reports_the_total_and_each_task() -> None:
    logs = graph().fit(tf.data.Dataset.from_tensors(batch([2.0])), verbose=0).history
    assert logs == {"loss": [4.0], "loss_click": [4.0]}
