"""Attention against softmaxes worked out by hand, and what must not be seen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline.layers.attention import AttentionPool, SelfAttention, TransformerBlock, normalisation, visible


def attention(width: int = 1, heads: int = 1, causal: bool = True, seed: int = 1) -> SelfAttention:
    return SelfAttention(width, heads, causal=causal, dropout=0.0, seed=seed)


def ones(layer: Any, x: Any, length: Any) -> np.ndarray:
    """The layer's answer with every kernel the identity."""
    inputs = (tf.constant(x), tf.constant(length))
    layer(inputs)
    layer.set_weights([np.eye(*w.shape) if w.ndim == 2 else w for w in layer.get_weights()])
    return layer(inputs).numpy()


def block(seed: int = 1, causal: bool = True) -> TransformerBlock:
    return TransformerBlock(4, 2, causal=causal, dropout=0.0, seed=seed)


def random(*shape: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).normal(size=shape).astype("float32"))


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def test_a_position_mixes_what_came_before() -> None:
    # x = 1, 2: the first sees itself. The second scores 2 and 4, so it gives the newer sigmoid(2): 1 + sigmoid(2).
    np.testing.assert_allclose(ones(attention(), [[[1.0], [2.0]]], [2])[0, :, 0], [1, 1 + sigmoid(2)], rtol=1e-6)


def test_without_causality_it_sees_what_comes_after() -> None:
    # The first now scores 1 and 2: 1 + sigmoid(1).
    found = ones(attention(causal=False), [[[1.0], [2.0]]], [2])[0, :, 0]
    np.testing.assert_allclose(found, [1 + sigmoid(1), 1 + sigmoid(2)], rtol=1e-6)


def test_scores_are_divided_by_the_root_of_the_heads_width() -> None:
    # One head of width 4; query and keys agree in one coordinate, 2 x 0 and 2 x 2: scores 0 and 4 / sqrt(4) = 2.
    x = [[[0.0, 0, 0, 0], [2.0, 0, 0, 0]]]
    assert ones(attention(4), x, [2])[0, 1, 0] == pytest.approx(2 * sigmoid(2), rel=1e-6)


def test_heads_look_each_for_itself() -> None:
    # Two heads of width 1: each coordinate as if alone.
    found = ones(attention(2, heads=2), [[[1.0, 3.0], [2.0, 1.0]]], [2])[0, 1]
    np.testing.assert_allclose(found, [1 + sigmoid(2), 1 + 2 * sigmoid(2)], rtol=1e-6)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="width is 4, but 3 heads of equal width need a multiple of 3"):
        attention(4, heads=3)


def test_query_key_and_value_start_differently() -> None:
    layer = attention(4)
    layer((random(1, 2, 4), tf.constant([2])))
    query, key, value = layer.get_weights()[:3]
    assert not np.allclose(query, key) and not np.allclose(key, value) and not np.allclose(query, value)


def test_cells_beyond_the_length_are_seen_by_nobody() -> None:
    layer = attention(4, heads=2, causal=False)
    x = random(1, 3, 4)
    longer = tf.concat([x, 100 * random(1, 2, 4)], axis=1)
    np.testing.assert_allclose(layer((longer, tf.constant([3])))[:, :3], layer((x, tf.constant([3]))), atol=1e-6)


def test_a_row_without_cells_is_zero_not_a_mean_of_padding() -> None:
    assert not np.any(attention(4)((random(2, 3, 4), tf.constant([0, 0]))))


def test_visible_cells() -> None:
    assert visible(tf.constant([2]), tf.constant(3), causal=True).numpy().astype(int).tolist() == [
        [[1, 0, 0], [1, 1, 0], [1, 1, 0]]
    ]
    assert visible(tf.constant([2]), tf.constant(3), causal=False).numpy().astype(int).tolist() == [[[1, 1, 0]]]


def test_a_block_is_causal() -> None:
    layer, x = block(), random(1, 6, 4)
    changed = tf.concat([x[:, :3], random(1, 3, 4) + 1.0], axis=1)
    before, after = layer((x, tf.constant([6]))), layer((changed, tf.constant([6])))
    np.testing.assert_allclose(after[:, :3], before[:, :3], atol=1e-6)
    assert not np.allclose(after[:, 3:], before[:, 3:], atol=1e-3)


def silence(layer: TransformerBlock, *names: str) -> None:
    for variable in layer.variables:
        if any(name in variable.name for name in names):
            variable.assign(tf.zeros_like(variable))


def test_the_residual_is_the_input_itself() -> None:
    # Attention and feed-forward silent: x + 0 + 0. With the residual of the authors' code it would be LN(LN(x)).
    layer, x = block(), random(1, 3, 4)
    layer((x, tf.constant([3])))
    silence(layer, "value", "dense")
    np.testing.assert_allclose(layer((x, tf.constant([3]))), x, atol=1e-6)


def test_queries_keys_and_values_are_all_normalised() -> None:
    # Then what attention adds is the same for x and 10 x. With keys and values of the bare x it would be tenfold.
    layer, x, length = block(), random(1, 3, 4), tf.constant([3])
    layer((x, length))
    silence(layer, "dense")
    np.testing.assert_allclose(layer((10 * x, length)) - 10 * x, layer((x, length)) - x, atol=1e-5)


def test_normalisation_is_exact_for_small_vectors() -> None:
    # Mean 0, variance 1e-6, epsilon 1e-8: 1e-3 / sqrt(1.01e-6) = 0.99504. With Keras' epsilon 1e-3 it would be 0.03.
    found = normalisation()(tf.constant([[1e-3, -1e-3]]))
    np.testing.assert_allclose(found, [[0.99504, -0.99504]], atol=1e-4)


def pool(x: Any, length: Any, recency: Any, content: bool = False) -> np.ndarray:
    layer, inputs = AttentionPool(3, seed=1), (tf.constant(x), tf.constant(length))
    layer(inputs)
    for variable in layer.variables:
        if "recency" in variable.name:
            variable.assign(recency)
        elif not content:
            variable.assign(tf.zeros_like(variable))
    return layer(inputs).numpy()


CELLS = [[[1.0, 0.0], [0.0, 1.0], [50.0, 50.0]]]


def test_pooling_without_preference_is_the_mean() -> None:
    np.testing.assert_allclose(pool(CELLS, [2], [0.0, 0.0, 0.0]), [[0.5, 0.5]], rtol=1e-6)


def test_pooling_weighs_by_how_long_ago() -> None:
    # The newest of the two valid cells has log 3, the one before it 0: 3/4 and 1/4.
    np.testing.assert_allclose(pool(CELLS, [2], [math.log(3), 0.0, 9.0]), [[0.25, 0.75]], rtol=1e-6)


def test_pooling_of_nothing_is_zero() -> None:
    assert pool(CELLS, [0], [0.0, 1.0, 2.0]).tolist() == [[0.0, 0.0]]


def test_pooling_sees_what_a_cell_holds() -> None:
    layer, inputs = AttentionPool(3, seed=1), (tf.constant(CELLS), tf.constant([2]))
    layer(inputs)
    # W the identity, b 0, w = (1, 0), r 0: scores tanh(1) and 0.
    layer.set_weights([np.eye(2), np.zeros(2), np.array([[1.0], [0.0]]), np.zeros(3)])
    weight = sigmoid(math.tanh(1.0))
    np.testing.assert_allclose(layer(inputs), [[weight, 1 - weight]], rtol=1e-6)


def test_cells_older_than_the_maximum_share_its_recency() -> None:
    # Four cells, a maximum of 3: 0 | log 2, log 2 (one beyond the maximum) -> weights 2, 2, 1, 1 of 6, oldest first.
    cells = [[[1.0], [0.0], [0.0], [0.0]]]
    assert pool(cells, [4], [0.0, 0.0, math.log(2)])[0, 0] == pytest.approx(2 / 6, rel=1e-6)
