"""Two towers: the loss against values worked out from the paper's formula, and the traps of its sheet."""

from __future__ import annotations

import math
from typing import Any, Dict, List
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from pipeline.batches import TrainingBatch
from pipeline.encoding import FeatureSpace, Table
from pipeline.layers.frequency import Frequency
from pipeline.models.two_tower import SPEC, TwoTower, TwoTowerConfig
from pipeline.schema import Schema, parse
from signatures.errors import UsageError

E = math.e
FEATURES: List[Dict[str, Any]] = [
    {"name": "user_id", "kind": "categorical", "side": "user"},
    {"name": "age", "kind": "numeric", "side": "user"},
    {"name": "hour", "kind": "categorical", "side": "context"},
    {"name": "item_id", "kind": "categorical", "side": "item"},
    {"name": "genres", "kind": "bag", "side": "item"},
    {"name": "history", "kind": "sequence", "side": "user", "shares": "item_id", "maximum_length": 5},
    {"name": "views_of_both", "kind": "numeric", "side": "cross"},
]
ROWS = {"user_id": 6, "hour": 4, "item_id": 6, "history": 6, "genres": 5}


def schema(features: Any = FEATURES, item: Any = "item_id") -> Schema:
    labels, task = [{"name": "click"}], {"name": "watched", "label": "click"}
    content = {"name": "shop", "features": features, "labels": labels, "tasks": [task], "roles": {"item": item}}
    return parse(content, "test")


def model(seed: int = 1, **parameters: Any) -> TwoTower:
    whole = schema()
    selected = whole.select(SPEC.select(whole, TwoTowerConfig()), ("watched",))
    tables = {name: Table("item_id" if name == "history" else name, rows) for name, rows in ROWS.items()}
    config = TwoTowerConfig(**{"embedding_width": 4, "hidden_units": (8,), "output_width": 3, **parameters})
    return TwoTower(config, FeatureSpace(selected, tables), selected.tasks, seed=seed)


def features(items: List[int]) -> Dict[str, tf.Tensor]:
    n = len(items)
    return {
        "user_id": tf.constant([2 + i % 4 for i in range(n)]),
        "age": tf.constant([0.1 * i - 0.2 for i in range(n)]),
        "hour": tf.constant([2 + i % 2 for i in range(n)]),
        "history": tf.constant([[2 + (i + j) % 4 for j in range(3)] for i in range(n)]),
        "history_length": tf.constant([i % 4 for i in range(n)]),
        "item_id": tf.constant(items),
        "genres": tf.constant([[2 + i % 3, 3] for i in items]),
        "genres_length": tf.constant([1 + i % 2 for i in items]),
    }


def batch(items: List[int], labels: Any = None) -> TrainingBatch:
    values = [1.0] * len(items) if labels is None else labels
    return TrainingBatch(features(items), {"click": tf.constant(values)}, {}, {})


def frequency(made: TwoTower) -> Frequency:
    assert made._frequency is not None
    return made._frequency


def losses(made: TwoTower, user: Any, item: Any, items: List[int], labels: Any = None) -> np.ndarray:
    """Of rows whose towers are given, outside training."""
    with mock.patch.object(made, "_towers", return_value=(tf.constant(user), tf.constant(item))):
        return made.losses(batch(items, labels), training=False)["watched"].numpy()


def assume(made: TwoTower, probabilities: Dict[int, float]) -> None:
    """Sets the estimate of these rows."""
    rows = list(probabilities)
    frequency(made).sightings.scatter_update(tf.IndexedSlices([1] * len(rows), rows))
    gaps = [1 / p for p in probabilities.values()]
    frequency(made).mean_gap.scatter_update(tf.IndexedSlices(gaps, rows))


X, Y = [1.0, 0.0], [0.0, 1.0]


def test_the_loss_is_the_softmax_among_the_items_of_the_batch() -> None:
    # Cosines 1 on the diagonal and 0 beside it; temperature 1: log(e + 1) - 1. Temperature 0.5: log(e^2 + 1) - 2.
    plain = losses(model(temperature=1.0, correct_sampling=False), [X, Y], [X, Y], [2, 3])
    np.testing.assert_allclose(plain, [math.log(E + 1) - 1] * 2, rtol=1e-6)
    sharp = losses(model(temperature=0.5, correct_sampling=False), [X, Y], [X, Y], [2, 3])
    np.testing.assert_allclose(sharp, [math.log(E**2 + 1) - 2] * 2, rtol=1e-5)


def test_the_label_is_the_reward() -> None:
    made = model(temperature=1.0, correct_sampling=False)
    once = math.log(E + 1) - 1
    np.testing.assert_allclose(losses(made, [X, Y], [X, Y], [2, 3], [2.5, 0.0]), [2.5 * once, 0.0], rtol=1e-6)


def test_an_item_that_stands_twice_is_no_negative_of_itself() -> None:
    # Batch a, a, b. For a only b is a negative: log(e + 1) - 1. For b both a are: log(e + 2) - 1.
    made = model(temperature=1.0, correct_sampling=False)
    expected = [math.log(E + 1) - 1, math.log(E + 1) - 1, math.log(E + 2) - 1]
    np.testing.assert_allclose(losses(made, [X, X, Y], [X, X, Y], [2, 2, 3]), expected, rtol=1e-6)


def test_a_rare_negative_counts_for_more() -> None:
    # All cosines 0; item 2 is in every batch, item 3 in one of ten. Corrected: 0 - log 1 = 0 and 0 - log 0.1 = log 10.
    # Row of 2: log(1 + 10); row of 3: log(1 + 10) - log 10. With the wrong sign it would be the other way round.
    made = model(temperature=1.0)
    assume(made, {2: 1.0, 3: 0.1})
    expected = [math.log(11), math.log(11) - math.log(10)]
    np.testing.assert_allclose(losses(made, [X, X], [Y, Y], [2, 3]), expected, rtol=1e-5)


def test_the_temperature_does_not_divide_the_correction() -> None:
    # Row of 2: 1 / 0.5 - log 1 = 2 on the diagonal, log 10 beside it: log(e^2 + 10) - 2.
    made = model(temperature=0.5)
    assume(made, {2: 1.0, 3: 0.1})
    assert losses(made, [X, Y], [X, Y], [2, 3])[0] == pytest.approx(math.log(E**2 + 10) - 2, rel=1e-5)


def test_an_equal_probability_for_all_changes_nothing() -> None:
    plain, corrected = model(correct_sampling=False), model()
    items = [2, 3, 4, 5]
    results = []
    for made in (plain, corrected):
        if made is corrected:
            assume(made, dict.fromkeys(items, 0.02))
        with tf.GradientTape() as tape:
            loss = made.losses(batch(items), training=False)["watched"]
        results.append((loss, tape.gradient(loss, made.trainable_variables)))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)
    for one, other in zip(results[0][1], results[1][1]):
        np.testing.assert_allclose(tf.convert_to_tensor(one), tf.convert_to_tensor(other), atol=2e-5)


def test_with_every_item_once_it_is_the_softmax_over_all_items() -> None:
    made, items = model(), [2, 3, 4, 5]
    assume(made, dict.fromkeys(items, 1 / 4))
    encoded = features(items)
    every = {name: tf.stack([encoded[name]] * 4) for name in ("item_id", "genres", "genres_length")}
    logits = made.rank(encoded, every)["watched"].numpy()
    expected = np.log(np.exp(logits).sum(axis=1)) - np.diag(logits)
    np.testing.assert_allclose(made.losses(batch(items), training=False)["watched"], expected, rtol=1e-4)


def test_serving_knows_nothing_of_frequencies() -> None:
    made = model()
    before = made(features([2, 3]))["watched"].numpy()
    assume(made, {2: 0.5, 3: 0.001})
    np.testing.assert_array_equal(made(features([2, 3]))["watched"], before)


def test_only_training_counts_sightings() -> None:
    made = model()
    made.losses(batch([2, 3]), training=False)
    assert frequency(made).step.numpy() == 0
    made.losses(batch([2, 3, 3]), training=True)
    assert frequency(made).step.numpy() == 1
    assert frequency(made).sightings.numpy().tolist() == [0, 0, 1, 1, 0, 0]


def test_embeddings_are_of_length_one_and_multiply_to_the_logit() -> None:
    made = model(temperature=0.2)
    encoded = features([2, 3, 4])
    user, item = made.user_embedding(encoded).numpy(), made.item_embedding(encoded).numpy()
    np.testing.assert_allclose(np.linalg.norm(item, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(user, axis=1), 1 / 0.2, rtol=1e-5)
    np.testing.assert_allclose((user * item).sum(axis=1), made(encoded)["watched"], rtol=1e-5)


def test_a_tower_reads_its_own_side_only() -> None:
    made, whole = model(), features([2, 3, 4])
    item_columns = ("item_id", "genres", "genres_length")
    user = {name: cells for name, cells in whole.items() if name not in item_columns}
    np.testing.assert_array_equal(made.user_embedding(user), made.user_embedding(whole))
    np.testing.assert_array_equal(
        made.item_embedding({name: whole[name] for name in item_columns}), made.item_embedding(whole)
    )


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_order_matters_to_attention_alone(pooling: str) -> None:
    made = model(history_pooling=pooling)
    one = {**features([2]), "history": tf.constant([[2, 3, 4]]), "history_length": tf.constant([3])}
    made(one)
    for variable in made.trainable_variables:
        if "recency" in variable.name:
            variable.assign(tf.range(5.0))
    other = {**one, "history": tf.constant([[4, 3, 2]])}
    same = np.allclose(made.user_embedding(one), made.user_embedding(other), atol=1e-6)
    assert same == (pooling == "mean")


def test_the_towers_start_differently() -> None:
    made = model()
    made(features([2]))
    tensors = [v.numpy() for v in made.trainable_variables if "kernel" in v.name]
    assert not any(a.shape == b.shape and np.allclose(a, b) for i, a in enumerate(tensors) for b in tensors[i + 1 :])


def test_a_batch_of_one_item_has_nothing_to_tell_apart() -> None:
    assert model().losses(batch([2, 2]), training=True)["watched"].numpy().tolist() == [0.0, 0.0]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_gives_finite_float32(policy: str) -> None:
    keras.mixed_precision.set_global_policy(policy)
    try:
        made = model()
    finally:
        keras.mixed_precision.set_global_policy("float32")
    with tf.GradientTape() as tape:
        loss = made.losses(batch([2, 2, 3, 5]), training=True)["watched"]
    gradients = tape.gradient(loss, made.trainable_variables)
    logit = made(features([2, 3]))["watched"]
    assert loss.dtype == logit.dtype == tf.float32
    assert all(np.isfinite(tf.convert_to_tensor(x)).all() for x in (loss, logit, *gradients))
    exact = model().losses(batch([2, 2, 3, 5]), training=False)["watched"]
    np.testing.assert_allclose(made.losses(batch([2, 2, 3, 5]), training=False)["watched"], exact, rtol=0.1, atol=0.1)


def test_features_of_the_pair_are_left_out() -> None:
    assert [f.name for f in SPEC.select(schema(), TwoTowerConfig())] == [f["name"] for f in FEATURES[:-1]]


def test_without_an_item_to_tell_apart_it_says_so() -> None:
    with pytest.raises(UsageError, match="roles.item, which is None and no feature of schema 'shop'"):
        SPEC.select(schema(item=None), TwoTowerConfig())


def test_without_a_user_it_says_so() -> None:
    items_only = [f for f in FEATURES if f["side"] == "item"]
    with pytest.raises(UsageError, match="no user or context feature"):
        SPEC.select(schema(items_only), TwoTowerConfig())
