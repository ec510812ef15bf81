"""MMoE: what its gates and experts must be equal to."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import numpy as np
import pytest
import tensorflow as tf

from pipeline.batches import TrainingBatch
from tests import model_inputs

BOTH = ("click", "like")
SMALL = {"embedding_width": 4, "experts": 3, "expert_units": [6, 5], "tower_units": [3], "dropout": 0.0}


def mmoe(tasks: Tuple[str, ...] = BOTH, **parameters: Any) -> Any:
    model = model_inputs.build("mmoe", {**SMALL, **parameters}, tasks)
    model(model_inputs.features(model, 2))
    model_inputs.shake(model)
    return model


def sides(model: Any, features: Any) -> Any:
    return [side.numpy() for side in model._sides(features, training=False)]


def layers_by_hand(layer: Any, x: np.ndarray, split: int) -> np.ndarray:
    """relu layers of a SplitMlp (split 2) or an Mlp (split 1), all variables taken in order of their making."""
    weights = [v.numpy() for v in layer.trainable_variables]
    kernels = [w for w in weights if w.ndim == 2]
    biases = [w for w in weights if w.ndim == 1]
    kernels = [np.concatenate(kernels[:split]), *kernels[split:]] if kernels else []
    for kernel, bias in zip(kernels, biases):
        x = np.maximum(x @ kernel + bias, 0)
    return x


def by_hand(model: Any, features: Any, mixtures: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """{task: logits} with these weights [B, experts] in place of the gates'."""
    x = np.concatenate(sides(model, features), axis=1)
    experts = [layers_by_hand(expert, x, split=2) for expert in model.experts]
    found = {}
    for task, tower, output in zip(mixtures, model.towers, model.output_layers):
        mixed = sum(mixtures[task][:, [i]] * expert for i, expert in enumerate(experts))
        hidden = layers_by_hand(tower, mixed, split=1)
        found[task] = (hidden @ output.kernel.numpy() + output.bias.numpy())[:, 0]
    return found


def test_gates_are_a_linear_softmax_of_x() -> None:
    model = mmoe()
    features = model_inputs.features(model, 7)
    x = np.concatenate(sides(model, features), axis=1)
    expected = {}
    for task, gate in zip(BOTH, model.gates):
        z = x @ np.concatenate([v.numpy() for v in gate.trainable_variables])
        expected[task] = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        found = model.mixtures(features)[task].numpy()
        np.testing.assert_allclose(found, expected[task], atol=1e-5)
        np.testing.assert_allclose(found.sum(axis=1), np.ones(7), rtol=1e-6)
    for task, logits in by_hand(model, features, expected).items():
        np.testing.assert_allclose(model(features)[task], logits, rtol=1e-4, atol=1e-4)


def test_one_expert_is_a_shared_bottom() -> None:
    model = mmoe(experts=1)
    features = model_inputs.features(model, 7)
    always = {task: np.ones((7, 1)) for task in BOTH}
    for task, logits in by_hand(model, features, always).items():
        np.testing.assert_allclose(model(features)[task], logits, rtol=1e-4, atol=1e-4)


def test_gates_over_one_expert_say_nothing() -> None:
    model = mmoe(experts=1)
    features = model_inputs.features(model, 7)
    labels = {task: tf.constant(np.resize([1.0, 0.0, 0.0], 7), tf.float32) for task in BOTH}
    with tf.GradientTape() as tape:
        losses = model.losses(TrainingBatch(features, labels, {}, {}), training=False)
        total = tf.add_n([tf.reduce_mean(loss) for loss in losses.values()])
    gates = [v for gate in model.gates for v in gate.trainable_variables]
    assert not any(np.any(g.numpy()) for g in tape.gradient(total, gates))
    before = model(features)
    for gate in model.gates:
        gate.set_weights([w + 5.0 for w in gate.get_weights()])
    assert all(np.array_equal(model(features)[task], before[task]) for task in BOTH)


def test_identical_experts_are_a_shared_bottom_whatever_the_gates() -> None:
    model = mmoe()
    for expert in model.experts[1:]:
        expert.set_weights(model.experts[0].get_weights())
    features = model_inputs.features(model, 7)
    first_only = {task: np.eye(3)[np.zeros(7, int)] for task in BOTH}
    for task, logits in by_hand(model, features, first_only).items():
        np.testing.assert_allclose(model(features)[task], logits, rtol=1e-4, atol=1e-4)


def test_gates_of_zero_are_the_mean_of_the_experts() -> None:
    model = mmoe()
    for gate in model.gates:
        gate.set_weights([np.zeros_like(w) for w in gate.get_weights()])
    features = model_inputs.features(model, 7)
    mean = {task: np.full((7, 3), 1 / 3) for task in BOTH}
    for task, logits in by_hand(model, features, mean).items():
        np.testing.assert_allclose(model(features)[task], logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("part", ["experts", "gates", "towers", "output_layers"])
def test_twins_start_apart(part: str) -> None:
    model = model_inputs.build("mmoe", SMALL, BOTH)
    model(model_inputs.features(model, 2))
    first, second = getattr(model, part)[:2]
    kernels = [(a, b) for a, b in zip(first.get_weights(), second.get_weights()) if a.ndim == 2]
    assert kernels and not any(np.any(a == b) for a, b in kernels)


def test_gates_learn() -> None:
    model = model_inputs.build("mmoe", SMALL, BOTH)
    features = model_inputs.features(model, 16)
    labels = {task: tf.constant(np.resize([1.0, 0.0, 0.0], 16), tf.float32) for task in BOTH}
    with tf.GradientTape() as tape:
        losses = model.losses(TrainingBatch(features, labels, {}, {}), training=False)
        total = tf.add_n([tf.reduce_mean(loss) for loss in losses.values()])
    variables = [v for gate in model.gates for v in gate.trainable_variables]
    assert all(np.any(g.numpy()) for g in tape.gradient(total, variables))


def test_a_task_moves_no_other_tower() -> None:
    model = mmoe()
    features = model_inputs.features(model, 8)
    labels = {"click": tf.ones([8]), "like": tf.zeros([8])}
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model.losses(TrainingBatch(features, labels, {}, {}), training=False)["click"])
    others = [*model.towers[1].trainable_variables, *model.output_layers[1].trainable_variables]
    own = [*model.towers[0].trainable_variables, *model.experts[1].trainable_variables]
    found = tape.gradient(loss, [*others, *own])
    assert all(g is None for g in found[: len(others)])
    assert all(g is not None and np.any(g.numpy()) for g in found[len(others) :])


@pytest.mark.parametrize("candidates", [1, 7])
@pytest.mark.parametrize("tasks", [("click",), BOTH])
def test_rank_is_the_tiled_call(candidates: int, tasks: Tuple[str, ...]) -> None:
    ranked, called = model_inputs.ranked_and_tiled(mmoe(tasks), 5, candidates)
    assert set(ranked) == set(called) == set(tasks)
    for task in tasks:
        np.testing.assert_allclose(ranked[task], called[task], rtol=1e-5, atol=1e-5)


def test_towers_may_have_no_hidden_layer() -> None:
    model = mmoe(tower_units=[])
    features = model_inputs.features(model, 4)
    logits = by_hand(model, features, {t: m.numpy() for t, m in model.mixtures(features).items()})
    np.testing.assert_allclose(model(features)["like"], logits["like"], rtol=1e-4, atol=1e-4)
