"""DIN's attention against its definition: the concatenation, cell by cell, in numpy."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import numpy as np
import pytest
import tensorflow as tf

from pipeline.layers.target_attention import TargetAttention

WIDTH, UNITS = 3, (5, 4)


def normal(*shape: int) -> tf.Tensor:
    return tf.constant(np.random.normal(size=shape), tf.float32)


def attention(activation: Any = "sigmoid", softmax: bool = False) -> TargetAttention:
    layer = TargetAttention(UNITS, seed=1, activation=activation, softmax=softmax)
    layer((normal(1, 2, WIDTH), tf.constant([2]), normal(1, WIDTH)))
    for variable in layer.trainable_variables:
        variable.assign(normal(*variable.shape))
    return layer


def by_name(layer: TargetAttention) -> Dict[str, np.ndarray]:
    """First-layer kernels by name, then kernel and bias of the second layer and of the output."""
    second, output = (v for v in layer.trainable_variables if v.name.endswith("kernel:0") and v.shape.rank == 2)
    return {
        **{v.name[:-2].split("/")[-1]: v.numpy() for v in (layer._key, layer._query, layer._product, layer._bias)},
        "second": second.numpy(),
        "output": output.numpy(),
        "second_bias": next(v for v in layer.trainable_variables if v.shape == (4,)).numpy(),
        "output_bias": next(v for v in layer.trainable_variables if v.shape == (1,)).numpy(),
    }


def weight_by_hand(w: Dict[str, np.ndarray], k: np.ndarray, q: np.ndarray) -> float:
    """a(k, q) with the first layer as the paper's code has it, on [k, q, q - k, k * q]; any W3 will do."""
    w3 = np.full((WIDTH, UNITS[0]), 0.7)
    first = np.concatenate([w["key"] + w3, w["query"] - w3, w3, w["product"]])
    h = 1 / (1 + np.exp(-(np.concatenate([k, q, q - k, k * q]) @ first + w["bias"])))
    h = 1 / (1 + np.exp(-(h @ w["second"] + w["second_bias"])))
    return float((h @ w["output"] + w["output_bias"])[0])


def by_hand(layer: TargetAttention, example: Tuple[tf.Tensor, tf.Tensor, tf.Tensor], softmax: bool) -> np.ndarray:
    w = by_name(layer)
    rows = []
    for k, n, q in zip(*(part.numpy() for part in example)):
        scores = np.array([weight_by_hand(w, k[j], q) for j in range(n)])
        weights = np.exp(scores) / np.exp(scores).sum() if softmax else scores
        rows.append(sum((weights[j] * k[j] for j in range(n)), np.zeros(WIDTH)))
    return np.stack(rows)


@pytest.fixture
def example() -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """keys [4, 6, 3], length [4], query [4, 3]."""
    return normal(4, 6, WIDTH), tf.constant([6, 3, 1, 0]), normal(4, WIDTH)


@pytest.mark.parametrize("softmax", [False, True])
def test_it_is_the_mlp_on_the_concatenation(example: Any, softmax: bool) -> None:
    layer = attention(softmax=softmax)
    np.testing.assert_allclose(layer(example), by_hand(layer, example, softmax), atol=1e-5)


@pytest.mark.parametrize("candidates", [1, 7])
@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("activation", ["dice", "sigmoid", "relu"])
def test_candidates_are_pairs(example: Any, softmax: bool, candidates: int, activation: str) -> None:
    layer = attention(activation, softmax)
    keys, length, _ = example
    queries = normal(4, candidates, WIDTH)
    found = layer((keys, length, queries)).numpy()
    for n in range(candidates):
        np.testing.assert_allclose(found[:, n], layer((keys, length, queries[:, n])), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("units", [(5,), (5, 4, 3)])
def test_candidates_are_pairs_however_many_layers_there_are(example: Any, units: Tuple[int, ...]) -> None:
    """The factors of the first sigmoid go into the layer behind it, which may be the last."""
    keys, length, query = example
    layer = TargetAttention(units, seed=1, activation="sigmoid", softmax=False)
    expected = layer(example).numpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(layer((keys, length, query[:, tf.newaxis]))[:, 0], expected, rtol=1e-5, atol=1e-6)


def test_an_item_twice_counts_twice(example: Any) -> None:
    layer = attention()
    keys, _, query = example
    once, twice = keys[:, :1], tf.repeat(keys[:, :1], 2, axis=1)
    single = layer((once, tf.constant([1] * 4), query)).numpy()
    np.testing.assert_allclose(layer((twice, tf.constant([2] * 4), query)), 2 * single, rtol=1e-5)


def test_softmax_does_not_count_equal_items(example: Any) -> None:
    layer = attention(softmax=True)
    keys, _, query = example
    same = tf.repeat(keys[:, :1], 5, axis=1)
    for length in (1, 2, 5):
        np.testing.assert_allclose(layer((same, tf.constant([length] * 4), query)), keys[:, 0], rtol=1e-5)


@pytest.mark.parametrize("softmax", [False, True])
def test_the_order_of_the_history_does_not_matter(example: Any, softmax: bool) -> None:
    layer = attention(softmax=softmax)
    keys, length, query = example
    order = [4, 2, 0, 5, 1, 3]
    one = layer((keys[:1], length[:1], query[:1])).numpy()
    np.testing.assert_allclose(layer((tf.gather(keys[:1], order, axis=1), length[:1], query[:1])), one, atol=1e-5)


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("front", [(4,), (4, 3)])
def test_an_empty_history_gives_zero(softmax: bool, front: Tuple[int, ...]) -> None:
    layer = attention(softmax=softmax)
    for cells in (6, 0):
        found = layer((normal(4, cells, WIDTH), tf.zeros([4], tf.int32), normal(*front, WIDTH)))
        np.testing.assert_array_equal(found, np.zeros((*front, WIDTH)))


def test_weights_of_one_are_sum_pooling(example: Any) -> None:
    layer = attention()
    for variable in layer.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    next(v for v in layer.trainable_variables if v.shape == (1,)).assign([1.0])
    keys, length, _ = example
    expected = [keys.numpy()[row, :n].sum(axis=0) for row, n in enumerate(length.numpy())]
    np.testing.assert_allclose(layer(example), expected, atol=1e-6)


def test_padding_does_not_reach_the_statistics_of_dice(example: Any) -> None:
    keys, length, query = example
    poisoned = tf.where(tf.sequence_mask(length, 6)[..., tf.newaxis], keys, 1e3)
    clean, dirty = attention("dice"), attention("dice")
    dirty.set_weights(clean.get_weights())
    np.testing.assert_allclose(
        clean((keys, length, query), training=True), dirty((poisoned, length, query), training=True), atol=1e-5
    )
    for one, other in zip(clean.non_trainable_variables, dirty.non_trainable_variables):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert any(np.any(v.numpy() != 0) for v in clean.non_trainable_variables)


def test_every_kernel_starts_apart() -> None:
    layer = TargetAttention((4, 4), seed=1, activation="relu", softmax=False)
    layer((normal(1, 2, 4), tf.constant([2]), normal(1, 4)))
    kernels = [v.numpy() for v in layer.trainable_variables if v.shape == (4, 4)]
    assert len(kernels) == 4
    assert not any(np.any(a == b) for i, a in enumerate(kernels) for b in kernels[:i])
