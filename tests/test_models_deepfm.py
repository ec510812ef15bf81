"""DeepFM against the sums of its paper, written out as loops."""

from __future__ import annotations

from typing import Any, List

import numpy as np
import pytest
import tensorflow as tf

from pipeline.batches import TrainingBatch
from signatures.errors import UsageError
from tests import model_inputs

SMALL = {"embedding_width": 4, "hidden_units": [5, 3], "dropout": 0.0}


def deepfm(names: Any = (), **parameters: Any) -> Any:
    model = model_inputs.build("deepfm", {**SMALL, **parameters}, names=names)
    model(model_inputs.features(model, 2))
    model_inputs.shake(model)
    return model


def fields(model: Any, features: Any, linear: bool = False) -> List[np.ndarray]:
    """[F] of [B, D]: v_f x_f, or w_f x_f with D = 1."""
    embeddings, layer = (model.linear_embeddings, model.linear_fields) if linear else (model.embeddings, model.fields)
    return [field.numpy() for field in layer((embeddings(features), features)).values()]


def machine_by_hand(model: Any, features: Any) -> np.ndarray:
    """y_FM by a double loop over pairs of fields."""
    v, w = fields(model, features), fields(model, features, linear=True)
    total = model.bias.numpy() + sum(weight[:, 0] for weight in w)
    for i in range(len(v)):
        for j in range(i + 1, len(v)):
            total = total + np.sum(v[i] * v[j], axis=1)
    return total


def network_by_hand(model: Any, features: Any) -> np.ndarray:
    """y_DNN on the concatenation of all v, those of user and context first."""
    by_name = dict(zip([f.name for f in model_inputs.schema_of(model).features], fields(model, features)))
    sides = {f.name: f.side in ("user", "context") for f in model_inputs.schema_of(model).features}
    x = np.concatenate([by_name[n] for n in sorted(by_name, key=lambda n: not sides[n])], axis=1)
    kernels = [v.numpy() for v in model.hidden.trainable_variables if v.shape.rank == 2]
    biases = [v.numpy() for v in model.hidden.trainable_variables if v.shape.rank == 1]
    h = np.maximum(x @ np.concatenate(kernels[:-1]) + biases[0], 0)
    h = np.maximum(h @ kernels[-1] + biases[1], 0)
    return (h @ model.output_layer.kernel.numpy())[:, 0]


def test_logit_is_machine_plus_network() -> None:
    model = deepfm()
    features = model_inputs.features(model, 7)
    expected = machine_by_hand(model, features) + network_by_hand(model, features)
    np.testing.assert_allclose(model(features)["click"], expected, rtol=1e-4, atol=1e-4)


def test_without_the_network_it_is_the_machine() -> None:
    model = deepfm()
    features = model_inputs.features(model, 7)
    model.output_layer.kernel.assign(tf.zeros_like(model.output_layer.kernel))
    np.testing.assert_allclose(model(features)["click"], machine_by_hand(model, features), rtol=1e-4, atol=1e-5)


def test_with_one_field_and_no_first_order_it_is_the_network() -> None:
    model = deepfm(names=["item_id"])
    features = model_inputs.features(model, 7)
    for variable in (*model.linear_embeddings.trainable_variables, model.bias):
        variable.assign(tf.zeros_like(variable))
    # A lone field has no partner, so the pair term is exactly 0.
    np.testing.assert_allclose(model(features)["click"], network_by_hand(model, features), rtol=1e-5, atol=1e-6)


def test_a_number_twice_as_large_has_pairs_twice_as_large() -> None:
    model = deepfm()
    model.output_layer.kernel.assign(tf.zeros_like(model.output_layer.kernel))
    features = model_inputs.features(model, 5)
    at = {}
    for factor in (0.0, 1.0, 2.0):
        scaled = {**features, "price": features["price"] * factor}
        at[factor] = model(scaled)["click"].numpy()
    np.testing.assert_allclose(at[2.0] - at[0.0], 2 * (at[1.0] - at[0.0]), rtol=1e-3, atol=1e-4)
    assert np.abs(at[1.0] - at[0.0]).max() > 0.1


def test_one_vector_feeds_both_parts() -> None:
    model = deepfm()
    features = {**model_inputs.features(model, 1), "user_id": tf.constant([5])}
    before = machine_by_hand(model, features), network_by_hand(model, features)
    table = next(v for v in model.embeddings.trainable_variables if "user_id" in v.name)
    table.scatter_nd_add([[5]], [[0.5, -0.5, 0.5, -0.5]])
    after = machine_by_hand(model, features), network_by_hand(model, features)
    assert abs(after[0] - before[0]) > 1e-3 and abs(after[1] - before[1]) > 1e-3
    np.testing.assert_allclose(model(features)["click"], sum(after), rtol=1e-4, atol=1e-4)


def test_first_order_weights_start_at_zero() -> None:
    model = model_inputs.build("deepfm", SMALL)
    first_order = (*model.linear_embeddings.weights, *model.linear_fields.weights, model.bias)
    assert not any(v.numpy().any() for v in first_order)


@pytest.mark.parametrize("candidates", [1, 7])
def test_rank_is_the_tiled_call(candidates: int) -> None:
    ranked, called = model_inputs.ranked_and_tiled(deepfm(), 5, candidates)
    # The logits have a deviation of about 3.
    np.testing.assert_allclose(ranked["click"], called["click"], rtol=1e-5, atol=1e-5)


def test_rank_without_anything_of_the_user() -> None:
    model = deepfm(names=["item_id", "price"])
    ranked, called = model_inputs.ranked_and_tiled(model, 3, 4)
    np.testing.assert_allclose(ranked["click"], called["click"], rtol=1e-5, atol=1e-5)


def test_losses_are_cross_entropy_of_the_logit_per_example() -> None:
    model = deepfm()
    features = model_inputs.features(model, 4)
    labels = np.array([1, 0, 1, 0], np.float32)
    found = model.losses(TrainingBatch(features, {"click": tf.constant(labels)}, {}, {}), training=False)
    p = 1 / (1 + np.exp(-model(features)["click"].numpy().astype(np.float64)))
    np.testing.assert_allclose(found["click"], -np.log(np.where(labels == 1, p, 1 - p)), rtol=1e-3, atol=1e-5)


def test_two_tasks_are_one_too_many() -> None:
    with pytest.raises(UsageError, match=r"'deepfm' learns one task, but tasks are \['click', 'like'\]"):
        model_inputs.build("deepfm", SMALL, tasks=("click", "like"))


def test_dropout_is_for_training_only() -> None:
    model = deepfm(dropout=0.5, embedding_dropout=0.5)
    features = model_inputs.features(model, 4)
    np.testing.assert_array_equal(model(features)["click"], model(features)["click"])
    assert np.any(model(features, training=True)["click"].numpy() != model(features)["click"].numpy())
