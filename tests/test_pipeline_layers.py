"""Layers against numpy written out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from pipeline.embeddings import EmbeddingCollection
from pipeline.layers.activations import Activation, Prelu
from pipeline.layers.dice import EPSILON, Dice
from pipeline.layers.dropout import Dropout
from pipeline.layers.fields import Fields, by_side, embedded_columns, trimmed, without_side_columns
from pipeline.layers.mlp import Mlp, SplitDense, SplitMlp, logit_layer
from pipeline.layers.pooling import mean_of_rows, mean_pool, valid_cells, without_padding
from tests import model_inputs


def normal(*shape: int) -> tf.Tensor:
    return tf.constant(np.random.normal(size=shape), tf.float32)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def test_the_mean_is_over_the_cells_before_the_length() -> None:
    vectors = tf.constant([[[1.0, 10.0], [3.0, 30.0], [100.0, 100.0]], [[5.0, 5.0], [6.0, 6.0], [7.0, 7.0]]])
    length = tf.constant([2, 0])
    np.testing.assert_array_equal(valid_cells(length, tf.constant(3)), [[True, True, False], [False, False, False]])
    np.testing.assert_array_equal(mean_pool(vectors, length), [[2.0, 20.0], [0.0, 0.0]])
    per_candidate = mean_pool(vectors[:, tf.newaxis], length[:, tf.newaxis])
    np.testing.assert_array_equal(per_candidate, [[[2.0, 20.0]], [[0.0, 0.0]]])


def test_the_mean_of_no_cells_is_zero() -> None:
    np.testing.assert_array_equal(mean_pool(tf.zeros([3, 0, 2]), tf.zeros([3], tf.int32)), np.zeros((3, 2)))


def test_mean_of_rows_counts_what_is_before_the_length() -> None:
    table = tf.constant([[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]])
    ids, length = tf.constant([[1, 2, 2, 0], [0, 0, 1, 2], [2, 1, 0, 2]]), tf.constant([3, 2, 0])
    # (2 + 6 + 6) / 3; row 0 twice; nothing.
    expected = [[14 / 3, 140 / 3], [1.0, 10.0], [0.0, 0.0]]
    np.testing.assert_allclose(mean_of_rows(table, ids, length), expected, rtol=1e-6)
    np.testing.assert_array_equal(mean_of_rows(table, ids[:, :0], length * 0), np.zeros((3, 2)))


def test_columns_of_padding_only_are_cut() -> None:
    cells = tf.constant([[1, 2, 3, 0], [4, 5, 6, 7]])
    np.testing.assert_array_equal(without_padding(cells, tf.constant([1, 3])), [[1, 2, 3], [4, 5, 6]])
    assert without_padding(cells, tf.constant([0, 0])).shape == (2, 0)
    assert without_padding(cells[:0], tf.zeros([0], tf.int32)).shape[0] == 0


def test_trimmed_cuts_every_list_and_its_side_sequences() -> None:
    schema = model_inputs.schema()
    features = model_inputs.cells(schema, 2, ("user", "item"))
    features["history_length"] = tf.constant([2, 1])
    features["genres_length"] = tf.constant([0, 1])
    widths = {name: cell.shape[1] for name, cell in trimmed(schema, features).items() if cell.shape.rank == 2}
    assert widths == {"history": 2, "history_rating": 2, "history_genre": 2, "history_time": 2, "genres": 1, "image": 3}


def test_fields_of_every_kind() -> None:
    schema = model_inputs.schema()
    space = model_inputs.space(schema.select(without_side_columns(schema), ("click",)))
    features = model_inputs.cells(space.schema, 3, ("user", "context", "item", "cross"))
    collection = EmbeddingCollection(space, embedded_columns(space.schema), 4, seed=1)
    layer = Fields(space, 4, seed=1)
    vectors = collection(features)
    fields = layer((vectors, features))
    assert list(fields) == [f.name for f in schema.features]
    assert {tuple(field.shape) for field in fields.values()} == {(3, 4)}
    weights = {v.name.split("/")[-1]: v.numpy() for v in layer.trainable_variables}
    np.testing.assert_array_equal(fields["item_id"], vectors["item_id"])
    np.testing.assert_allclose(fields["price"][1], features["price"][1].numpy() * weights["price_4:0"][0], rtol=1e-6)
    np.testing.assert_allclose(fields["image"][1], features["image"][1].numpy() @ weights["image_4:0"], atol=1e-6)
    # The lengths are 6, 5 and 4.
    np.testing.assert_allclose(fields["genres"][2], vectors["genres"][2, :4].numpy().mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(fields["history"][2], vectors["history"][2, :4].numpy().mean(axis=0), atol=1e-6)
    user, item = by_side(space.schema, {name: name for name in reversed(list(fields))})
    assert (user, item) == (
        ["user_id", "hour", "income", "history"],
        ["item_id", "genres", "price", "image", "distance"],
    )


def test_fields_of_one_side_need_only_that_side() -> None:
    schema = model_inputs.schema(["income", "price"])
    layer = Fields(model_inputs.space(schema), 4, seed=1)
    assert list(layer(({}, {"price": tf.constant([[1.0, 2.0]])}))) == ["price"]
    assert list(Fields(model_inputs.space(schema), 4, seed=1, leave_out=("price",))(({}, {"price": tf.ones(1)}))) == []


def test_split_dense_is_a_dense_layer_over_the_concatenation() -> None:
    layer = SplitDense(5, 2, seed=1, activation="relu")
    user, item = normal(2, 1, 3), normal(2, 7, 4)
    layer([user, item])
    first, second, start = (v.numpy() for v in layer.trainable_variables)
    assert not start.any()
    bias = np.arange(5.0) - 2
    layer.trainable_variables[2].assign(bias)
    whole = np.concatenate([np.repeat(user, 7, axis=1), item], axis=-1)
    expected = np.maximum(whole @ np.concatenate([first, second]) + bias, 0)
    np.testing.assert_allclose(layer([user, item]), expected, atol=1e-5)
    # Glorot over all 7 inputs: sqrt(6 / (7 + 5)), not that of 3 or 4.
    assert np.abs(first).max() <= np.sqrt(0.5) and np.abs(second).max() <= np.sqrt(0.5)


def test_split_dense_starts_each_part_apart_and_counts_them() -> None:
    layer = SplitDense(5, 2, seed=1, bias=False)
    layer([normal(2, 3), normal(2, 3)])
    first, second = (v.numpy() for v in layer.trainable_variables)
    assert not np.any(first == second)
    with pytest.raises(ValueError, match="made for 2 parts. Received: 1"):
        SplitDense(5, 2, seed=1)([normal(2, 3)])


def test_mlp_by_hand() -> None:
    layer = Mlp([4, 2], seed=1, activation="prelu", dropout=0.5)
    x = normal(3, 2, 5)
    found = layer(x).numpy()
    kernels = [v for v in layer.trainable_variables if "kernel" in v.name]
    hidden = x.numpy() @ kernels[0].numpy()
    hidden = np.where(hidden > 0, hidden, 0.25 * hidden)
    last = hidden @ kernels[1].numpy()
    np.testing.assert_allclose(found, np.where(last > 0, last, 0.25 * last), atol=1e-6)
    assert len(layer.trainable_variables) == 6
    assert np.any(layer(x, training=True).numpy() != found)


def test_layers_of_equal_shape_start_apart() -> None:
    layer = Mlp([6, 6], seed=1)
    layer(normal(2, 6))
    one, two = (v.numpy() for v in layer.trainable_variables if "kernel" in v.name)
    assert not np.any(one == two)


def test_split_mlp_is_split_dense_then_mlp() -> None:
    layer = SplitMlp([4, 3], 2, seed=1, activation="relu", dropout=0.3)
    parts = [normal(2, 1, 3), normal(2, 5, 2)]
    found = layer(parts).numpy()
    shapes = {tuple(v.shape): v.numpy() for v in layer.trainable_variables if v.shape.rank == 2}
    hidden = np.maximum(parts[0].numpy() @ shapes[(3, 4)] + parts[1].numpy() @ shapes[(2, 4)], 0)
    np.testing.assert_allclose(found, np.maximum(hidden @ shapes[(4, 3)], 0), atol=1e-6)
    assert np.any(layer(parts, training=True).numpy() != found)


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    layer = Dropout(0.25, seed=1)
    x = tf.ones([100, 1000])
    np.testing.assert_array_equal(layer(x), x)
    dropped = layer(x, training=True).numpy()
    assert set(np.unique(dropped)) == {np.float32(0), np.float32(1 / 0.75)}
    # 100,000 draws: the share has a deviation of 0.0014.
    assert np.mean(dropped == 0) == pytest.approx(0.25, abs=0.007)
    assert np.any(layer(x, training=True).numpy() != dropped)


def test_dropout_goes_on_after_a_restore_as_if_never_stopped(tmp_path: Path) -> None:
    layer, x = Dropout(0.5, seed=7), tf.ones([64])
    layer(x, training=True)
    saved = tf.train.Checkpoint(layer=layer).write(str(tmp_path / "state"))
    expected = layer(x, training=True).numpy()
    resumed = Dropout(0.5, seed=7)
    tf.train.Checkpoint(layer=resumed).read(saved).assert_consumed()
    np.testing.assert_array_equal(resumed(x, training=True), expected)
    assert np.any(Dropout(0.5, seed=8)(x, training=True).numpy() != Dropout(0.5, seed=7)(x, training=True).numpy())


def dice_by_hand(s: np.ndarray, mean: np.ndarray, variance: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    p = sigmoid((s - mean) / np.sqrt(variance + 1e-8))
    return p * s + (1 - p) * alpha * s


def test_dice_in_training_and_after() -> None:
    layer, s = Dice(), normal(6, 3) * 4 + 2
    layer.build(s.shape)
    alpha = np.array([0.0, 0.5, -0.3], np.float32)
    layer.trainable_variables[0].assign(alpha)
    mean, variance = s.numpy().mean(axis=0), s.numpy().var(axis=0)
    expected = dice_by_hand(s.numpy(), mean, variance, alpha)
    np.testing.assert_allclose(layer(s, training=True), expected, atol=1e-5)
    # After one step the moving averages are that batch's: nothing of the start at 0 and 1 is left.
    np.testing.assert_allclose(layer(s), expected, atol=1e-5)
    other = normal(4, 3)
    layer(other, training=True)
    both_means = (mean + other.numpy().mean(axis=0)) / 2
    both_variances = (variance + other.numpy().var(axis=0)) / 2
    np.testing.assert_allclose(layer(s), dice_by_hand(s.numpy(), both_means, both_variances, alpha), atol=1e-5)


def test_dice_moves_by_a_hundredth_once_it_has_seen_enough() -> None:
    layer = Dice()
    for _ in range(200):
        layer(tf.zeros([2, 1]), training=True)
    layer(tf.fill([2, 1], 5.0), training=True)
    mean = layer.non_trainable_variables[0].numpy()
    assert mean == pytest.approx(0.05, rel=1e-4)


def test_dice_does_not_learn_from_a_batch_without_cells() -> None:
    layer, s = Dice(), normal(5, 2)
    layer(s, training=True)
    before = [v.numpy() for v in layer.variables]
    assert np.isfinite(layer(s[:0], training=True).numpy()).all()
    for old, new in zip(before, layer.variables):
        np.testing.assert_array_equal(old, new)


def test_dice_with_alpha_one_is_the_identity_and_with_endless_variance_a_line() -> None:
    layer, s = Dice(), normal(5, 2)
    layer.build(s.shape)
    alpha, _, variance, _ = layer.weights
    alpha.assign([1.0, 1.0])
    np.testing.assert_allclose(layer(s), s, atol=1e-6)
    np.testing.assert_allclose(layer(s, training=True), s, atol=1e-6)
    # p is 1/2 everywhere, so f(s) = (1 + alpha) / 2 s.
    alpha.assign([0.0, 0.5])
    variance.assign([1e30, 1e30])
    np.testing.assert_allclose(layer(s), s.numpy() * [0.5, 0.75], atol=1e-6)


def test_dice_survives_units_without_variance_and_large_means() -> None:
    layer = Dice()
    s = tf.concat([tf.fill([8, 1], 3.0), 1e4 + normal(8, 1)], axis=-1)
    with tf.GradientTape() as tape:
        tape.watch(s)
        f = layer(s, training=True)
    assert np.isfinite(tape.gradient(f, s).numpy()).all()
    # A mean of 10,000 must not swallow the variance: in one pass, float32 would lose it.
    exact = s.numpy().astype(np.float64).var(axis=0)[1]
    assert layer.non_trainable_variables[1].numpy()[1] == pytest.approx(exact, rel=1e-2)
    assert EPSILON == 1e-8


def test_the_gradient_of_dice_is_that_of_its_formula() -> None:
    """In training, through the statistics of the batch too, which TensorFlow finds from the formula by itself."""
    layer, s, upstream = Dice(), 3.0 * normal(7, 4) + 1.0, normal(7, 4)
    layer.build(s.shape)
    (alpha,) = layer.trainable_variables
    alpha.assign([0.0, 0.5, -0.3, 1.0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(s)
        found = tf.reduce_sum(upstream * layer(s, training=True))
        mean, variance = tf.nn.moments(s, [0])
        p = tf.sigmoid((s - mean) / tf.sqrt(variance + 1e-8))
        expected = tf.reduce_sum(upstream * (p * s + (1.0 - p) * alpha * s))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    for source in (s, alpha):
        np.testing.assert_allclose(tape.gradient(found, source), tape.gradient(expected, source), rtol=1e-4, atol=1e-5)


def test_dice_is_float32_under_mixed_precision() -> None:
    with_policy(lambda: Dice()(tf.ones([2, 3], tf.float16), training=True), tf.float32)


def with_policy(call: Any, expected: tf.DType) -> None:
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        assert call().dtype == expected
    finally:
        keras.mixed_precision.set_global_policy(before)


def test_the_logit_layer_is_float32_under_mixed_precision() -> None:
    with_policy(lambda: logit_layer(seed=1)(tf.ones([2, 3], tf.bfloat16)), tf.float32)
    with_policy(lambda: Mlp([3], seed=1)(tf.ones([2, 3])), tf.bfloat16)


def test_prelu_by_hand_over_any_axes() -> None:
    layer = Prelu()
    layer.build(tf.TensorShape([None, 2]))
    layer.trainable_variables[0].assign([0.1, -2.0])
    found = layer(tf.constant([[[-1.0, -1.0], [3.0, 3.0]]])).numpy()
    np.testing.assert_allclose(found, [[[-0.1, 2.0], [3.0, 3.0]]], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("relu", [0.0, 2.0]), ("sigmoid", [0.2689414, 0.8807971]), ("tanh", [-0.7615942, 0.9640276])],
)
def test_plain_activations(name: Any, expected: List[float]) -> None:
    np.testing.assert_allclose(Activation(name)(tf.constant([-1.0, 2.0]), training=True), expected, rtol=1e-6)
