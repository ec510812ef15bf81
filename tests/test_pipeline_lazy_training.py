"""Lazily updated tables behind the seam: the same model, the same steps where the rule allows it, a clean export."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from pipeline import builder
from pipeline.batches import TrainingBatch
from pipeline.builder import Built
from pipeline.checkpoints import Checkpoints, RunState
from pipeline.embeddings import EmbeddingCollection
from pipeline.encoding import FeatureSpace, Table
from pipeline.experiment import Training
from pipeline.models.registry import NAMES
from pipeline.prepared import Prepared
from pipeline.row_updates import RULES, RowUpdates
from pipeline.saved_models import save_training_graph
from pipeline.schema import Task, parse
from pipeline.training_graph import TrainingGraph
from tests import built_models

# With plain gradient descent a row without a gradient rests under the dense rule too, so both must agree.
DESCENT = ("optimizer=sgd", "learning_rate=0.5")


def both(model: str, prepared: Prepared, settings: Sequence[str]) -> Tuple[Built, Built]:
    dense, lazy = (
        built_models.built(model, prepared, (*settings, f"embedding_updates={way}")) for way in ("dense", "lazy")
    )
    return dense, lazy


def parameters(built: Built) -> Dict[str, np.ndarray]:
    """Every trainable value by name, rows of a fused table by the table they are of."""
    found = {}
    collections = [layer for layer in built.model.submodules if isinstance(layer, EmbeddingCollection)]
    for layer in collections:
        for table in layer.tables:
            column = next(name for name, each in layer.columns.items() if each == table)
            found[f"{layer.name}/{table.name}/{layer.width}"] = layer.all_rows(column).numpy()
    tables = {id(variable) for layer in collections for variable in layer.weights}
    others = [v.numpy() for v in built.model.trainable_variables if id(v) not in tables]
    return {**found, **{f"other {place}": value for place, value in enumerate(others)}}


@pytest.mark.parametrize("settings", [(), ("clip_norm=0.05",), ("accumulate=2",)], ids=["plain", "clipped", "gathered"])
@pytest.mark.parametrize("model", NAMES)
def test_descent_takes_the_same_steps_either_way(model: str, settings: List[str], tiny_prepared: Prepared) -> None:
    dense, lazy = both(model, tiny_prepared, (*DESCENT, *settings))
    start = parameters(lazy)
    assert [np.array_equal(start[name], value) for name, value in parameters(dense).items()] == [True] * len(start)
    batches = [built_models.batch(dense, tiny_prepared, epoch) for epoch in range(4)]
    for built in (dense, lazy):
        step = tf.function(built.graph.train_step)
        for batch in batches:
            step(batch)
    moved = parameters(lazy)
    for name, value in parameters(dense).items():
        np.testing.assert_allclose(moved[name], value, atol=2e-6, err_msg=name)
    tables = [name for name in start if name.startswith("embeddings")]
    assert any(not np.array_equal(start[name], moved[name]) for name in tables)


def test_rows_that_no_batch_touches_stay_bit_by_bit(tiny_prepared: Prepared) -> None:
    built = built_models.built("deepfm", tiny_prepared, ("embedding_updates=lazy", "learning_rate=0.1"))
    before = parameters(built)
    batches = [built_models.batch(built, tiny_prepared, epoch) for epoch in range(3)]
    for batch in batches:
        built.graph.train_step(batch)
    seen = np.unique(np.concatenate([batch.features["user_id"].numpy() for batch in batches]))
    name = next(each for each in before if "user_id" in each and not each.endswith("/1"))
    rested = np.setdiff1d(np.arange(len(before[name])), seen)
    assert len(rested) > 0
    np.testing.assert_array_equal(parameters(built)[name][rested], before[name][rested])
    assert np.all(parameters(built)[name][seen] != before[name][seen])


def test_the_export_holds_no_slot_of_the_optimizer(tiny_prepared: Prepared, tmp_path: Path) -> None:
    built = built_models.built("deepfm", tiny_prepared, ("embedding_updates=lazy",))
    built.graph.train_step(built_models.batch(built, tiny_prepared))
    save_training_graph(built, tmp_path / "graph")
    stored = tf.train.list_variables(str(tmp_path / "graph" / "variables" / "variables"))
    shapes = sorted(tuple(shape) for _, shape in stored if shape)
    assert shapes == sorted(tuple(v.shape) for v in built.model.trainable_variables if v.shape.rank)


class Rows(keras.Model):
    """The mean of one vector each, times y, as its loss."""

    def __init__(self, fused: bool = True) -> None:
        super().__init__()
        schema = parse({"name": "t", "features": [{"name": "i", "side": "item", "kind": "categorical"}]}, "test")
        space = FeatureSpace(schema, {"i": Table("i", 4)}, fused)
        self.embeddings = EmbeddingCollection(space, ["i"], 2, seed=1)
        self.bias = self.add_weight(name="bias", shape=(), initializer="zeros")

    def call(self, features: Dict[str, tf.Tensor], training: bool = False) -> Dict[str, tf.Tensor]:
        return {"click": tf.reduce_mean(self.embeddings(features)["i"], axis=-1) + self.bias}

    def losses(self, batch: TrainingBatch, training: bool) -> Dict[str, tf.Tensor]:
        return {"click": self(batch.features)["click"] * batch.labels["y"]}


def settled(rows: List[int], labels: List[float]) -> TrainingBatch:
    return TrainingBatch({"i": tf.constant(rows)}, {"y": tf.constant(labels)}, {}, {})


@pytest.mark.parametrize("settings", [{}, {"clip_norm": 0.3}, {"accumulate": 2}, {"clip_norm": 0.3, "accumulate": 2}])
@pytest.mark.parametrize(
    "rule", [{"optimizer": name} for name in RULES] + [{"optimizer": "adamw", "weight_decay": 0.1}], ids=str
)
def test_where_each_step_touches_each_row_both_ways_are_one(rule: Dict[str, Any], settings: Dict[str, Any]) -> None:
    training = Training.model_validate({"learning_rate": 0.1, **rule, **settings})
    graphs = []
    # The first two batches touch each row once in all, the other two a row twice.
    batches = [settled([3, 1], [1.0, -2.0]), settled([0, 2], [0.5, 4.0])]
    batches += [settled([0, 1, 1], [3.0, 1.0, 1.0]), settled([2, 3, 3], [-1.0, 0.25, 2.0])]
    if not settings.get("accumulate"):
        batches = [settled([0, 1, 2, 3, 3], [1.0, -2.0, 0.5 + n, 4.0, -1.0]) for n in range(4)]
    for fused in (False, True):
        updates = partial(builder.row_updates, training) if fused else None
        graph = TrainingGraph(
            Rows(fused), (Task(name="click", label="y"),), {}, training.accumulate,
            clip_norm=training.clip_norm, row_updates=updates,
        )
        graph.compile(optimizer=builder.optimizer(training))
        graph.prepare(batches[0])
        step = tf.function(graph.train_step)
        for batch in batches:
            step(batch)
        graphs.append(graph)
    found = [{v.shape.rank: v.numpy() for v in graph.model.trainable_variables} for graph in graphs]
    np.testing.assert_allclose(found[1][2], found[0][2], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-5, atol=1e-6)
    start = Rows().embeddings.all_rows("i").numpy()
    assert np.all(found[1][2] != start)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_descent_takes_the_same_steps_in_half_precision(precision: str, tiny_prepared: Prepared) -> None:
    dense, lazy = both("deepfm", tiny_prepared, (*DESCENT, f"precision={precision}"))
    start = parameters(lazy)
    for built in (dense, lazy):
        step = tf.function(built.graph.train_step)
        for number in range(3):
            step(built_models.batch(built, tiny_prepared, number))
    moved = parameters(lazy)
    for name, value in parameters(dense).items():
        # Gradients of an id that a batch holds twice are added up in half precision or in full.
        np.testing.assert_allclose(moved[name], value, atol=0.01 * np.abs(value - start[name]).max() + 1e-6)
    assert moved[next(iter(moved))].dtype == np.float32


@pytest.mark.parametrize(
    "settings",
    [("optimizer=adam",), ("optimizer=adam", "accumulate=2", "clip_norm=0.05"), ("precision=mixed_float16",)],
    ids=" ".join,
)
def test_a_resumed_run_goes_on_as_if_it_never_stopped(
    settings: Tuple[str, ...], tiny_prepared: Prepared, tmp_path: Path
) -> None:
    """With slots, bias correction, half-gathered gradients and the scale of the loss where they were."""
    whole, stopped, resumed = (
        built_models.built("deepfm", tiny_prepared, ("embedding_updates=lazy", *settings)) for _ in range(3)
    )
    batches = [built_models.batch(whole, tiny_prepared, number) for number in range(6)]
    for batch in batches:
        whole.graph.train_step(batch)
    for batch in batches[:3]:
        stopped.graph.train_step(batch)
    Checkpoints(tmp_path, stopped.graph).save("last", RunState())
    assert Checkpoints(tmp_path, resumed.graph).restore("last") is not None
    for batch in batches[3:]:
        resumed.graph.train_step(batch)
    expected = parameters(whole)
    for name, value in parameters(resumed).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    assert any(not np.array_equal(value, expected[name]) for name, value in parameters(stopped).items())


def test_a_step_that_overflows_is_taken_by_nobody() -> None:
    task = Task(name="click", label="y")
    graph = TrainingGraph(Rows(), (task,), {}, row_updates=lambda tables: RowUpdates(RULES["sgd"], tables))
    scaled = keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=8.0)
    graph.compile(optimizer=scaled)
    finite = TrainingBatch({"i": tf.constant([2])}, {"y": tf.constant([1.0])}, {}, {})
    graph.prepare(finite)
    start = [variable.numpy() for variable in graph.model.trainable_variables]
    overflowing = finite._replace(labels={"y": tf.constant([3e38])})
    tf.function(graph.train_step)(overflowing)
    for variable, before in zip(graph.model.trainable_variables, start):
        np.testing.assert_array_equal(variable.numpy(), before)
    assert scaled.loss_scale.numpy() == 4.0
    tf.function(graph.train_step)(finite)
    table, bias = start[0].copy(), start[1]
    if table.ndim == 0:
        table, bias = start[1].copy(), start[0]
    table[2] -= 0.1 * 0.5  # the mean of two cells
    found = {variable.shape.rank: variable.numpy() for variable in graph.model.trainable_variables}
    np.testing.assert_allclose(found[2], table, rtol=1e-6)
    np.testing.assert_allclose(found[0], bias - 0.1, rtol=1e-6)
