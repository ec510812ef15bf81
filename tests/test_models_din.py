"""DIN: what it reads, and its logit against the paper's formula in numpy."""

from __future__ import annotations

from typing import Any, List, Tuple

import numpy as np
import pytest
import tensorflow as tf

from pipeline.models.din import DINConfig, Pair, pairs_of, select
from signatures.errors import UsageError
from tests import model_inputs

SMALL = {
    "embedding_width": 4,
    "attention_units": [5],
    "attention_activation": "sigmoid",
    "hidden_units": [6],
    "activation": "relu",
    "dropout": 0.0,
}


def din(names: Any = (), **parameters: Any) -> Any:
    model = model_inputs.build("din", {**SMALL, **parameters}, names=names)
    model(model_inputs.features(model, 2))
    model_inputs.shake(model)
    return model


def test_it_reads_paired_side_sequences_only() -> None:
    schema = model_inputs.schema()
    (history,) = (f for f in select(schema, DINConfig()) if f.name == "history")
    assert [column.name for column in history.columns()] == ["history", "history_length", "history_genre"]
    assert [f.name for f in select(schema, DINConfig())] == list(schema.feature_names)
    assert pairs_of(schema) == (Pair("history", ("history", "history_genre"), ("item_id", "genres")),)


def test_without_a_history_of_items_it_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="schema 'small' has no sequence of the user's side .* add one with `shares`"):
        select(model_inputs.schema(["user_id", "item_id"]), DINConfig())


def test_a_sequence_that_meets_no_item_feature_is_pooled() -> None:
    alone = {"name": "searches", "side": "user", "kind": "sequence"}
    schema = model_inputs.schema()
    more = schema.model_validate({**schema.model_dump(), "features": [*schema.model_dump()["features"], alone]})
    assert [pair.sequence for pair in pairs_of(more)] == ["history"]
    assert [f.name for f in select(more, DINConfig())][-1] == "searches"


def interest_by_hand(layer: Any, keys: np.ndarray, query: np.ndarray, softmax: bool = False) -> np.ndarray:
    """v_U of one example: keys [n, D], query [D]."""
    output, output_bias = (v.numpy() for v in layer._output.trainable_variables)
    scores = []
    for newer, key in zip(range(len(keys) - 1, -1, -1), keys):
        sums = key @ layer._key.numpy() + query @ layer._query.numpy() + (key * query) @ layer._product.numpy()
        if layer._positions is not None:
            sums = sums + layer._positions.trainable_variables[0].numpy()[newer]
        hidden = 1 / (1 + np.exp(-(sums + layer._bias.numpy())))
        scores.append((hidden @ output + output_bias)[0])
    if softmax:
        scores = np.exp(scores) / np.exp(scores).sum()
    return sum((weight * key for weight, key in zip(scores, keys)), np.zeros(len(query)))


@pytest.mark.parametrize("interaction", [True, False])
@pytest.mark.parametrize("attention", ["paper", "softmax"])
def test_the_logit_by_hand(attention: str, interaction: bool) -> None:
    names = ["user_id", "hour", "item_id", "genres", "price", "history"]
    model = din(names=names, attention=attention, interaction=interaction)
    features = model_inputs.features(model, 7)
    table = {v.name.split("/")[-1][:-2]: v.numpy() for v in model.embeddings.trainable_variables}
    price = model.fields.trainable_variables[0].numpy()[0]
    kernels = [v.numpy() for v in model.hidden.trainable_variables if v.shape.rank == 2]
    (bias,) = [v.numpy() for v in model.hidden.trainable_variables if v.shape.rank == 1]
    x = {name: cell.numpy() for name, cell in features.items()}
    expected: List[float] = []
    for row in range(7):
        length = x["history_length"][row]
        items, genres = table["item_id_4"], table["genres_4"]
        bag = [genres[g] for g in x["genres"][row][: x["genres_length"][row]]]
        genre = np.mean(bag, axis=0) if bag else np.zeros(4)
        item = items[x["item_id"][row]]
        keys = np.concatenate([items[x["history"][row]], genres[x["history_genre"][row]]], axis=1)[:length]
        query = np.concatenate([item, genre])
        interest = interest_by_hand(model.attention[0], keys, query, attention == "softmax")
        user = [table["user_id_4"][x["user_id"][row]], table["hour_4"][x["hour"][row]]]
        rest = [item, genre, price * x["price"][row], interest]
        rest += [interest * query] if interaction else []
        hidden = np.maximum(np.concatenate(user) @ kernels[0] + np.concatenate(rest) @ kernels[1] + bias, 0)
        expected.append((hidden @ model.output_layer.kernel.numpy() + model.output_layer.bias.numpy())[0])
    np.testing.assert_allclose(model(features)["click"], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("candidates", [1, 7])
@pytest.mark.parametrize("attention", ["paper", "softmax"])
@pytest.mark.parametrize("activation", ["dice", "relu"])
def test_rank_is_the_tiled_call(candidates: int, attention: str, activation: str) -> None:
    model = din(attention=attention, attention_activation=activation, activation=activation, attention_units=[5, 3])
    # One step of training, so that the moving averages of Dice are not those of the start.
    model(model_inputs.features(model, 9), training=True)
    ranked, called = model_inputs.ranked_and_tiled(model, 7, candidates)
    np.testing.assert_allclose(ranked["click"], called["click"], rtol=1e-5, atol=2e-5)


HISTORY_ONLY = ["item_id", "genres", "history"]


def history_of(model: Any, features: Any) -> Tuple[np.ndarray, np.ndarray, List[tf.Tensor]]:
    """Keys [B, L, D], a query [B, D] and what the model makes of them."""
    vectors = model.embeddings(features)
    keys = np.concatenate([vectors["history"], vectors["history_genre"]], axis=2)
    query = np.random.default_rng(5).normal(size=(len(keys), keys.shape[2])).astype(np.float32)
    return keys, query, model._interests(features, vectors, [tf.constant(query)], training=False)


@pytest.mark.parametrize("heads", [1, 3])
def test_order_counts_where_positions_are_told(heads: int) -> None:
    """Each unit has positions of its own, and its v_U stands beside the others' in their order."""
    model = din(names=HISTORY_ONLY, positions=True, heads=heads, interaction=False)
    features = model_inputs.features(model, 7)
    length = features["history_length"]
    keys, query, interests = history_of(model, features)
    found = [v.numpy() for v in interests]
    assert len(found) == heads
    for interest, layer in zip(found, model.attention):
        expected = [interest_by_hand(layer, keys[row, : length[row]], query[row]) for row in range(7)]
        np.testing.assert_allclose(interest, expected, rtol=1e-4, atol=1e-4)
    assert not np.allclose(found[0], found[-1]) or heads == 1
    turned = dict(features)
    for name in ("history", "history_genre"):
        turned[name] = tf.reverse_sequence(features[name], length, seq_axis=1)
    assert not np.allclose(model(turned)["click"], model(features)["click"], atol=1e-3)
    plain = din(names=HISTORY_ONLY)
    np.testing.assert_allclose(plain(turned)["click"], plain(features)["click"], rtol=1e-4, atol=1e-4)


def test_an_old_event_counts_less_where_time_decays() -> None:
    """(1 + days)^-r: with r = 1, an event of the day before has half its weight, of three days before a quarter."""
    model = din(names=HISTORY_ONLY, time_decay=True, interaction=False)
    model._decays[0]._rate.assign(np.log(np.e - 1))
    features = model_inputs.features(model, 7)
    days = tf.tile([[3, 1, 0, 9, 9, 9]], [7, 1])
    features["history_time"], features["history_length"] = tf.cast(days * 86_400 + 5, tf.int64), tf.fill([7], 3)
    features["history_time"] = 800_000_000 - features["history_time"]
    keys, query, (found,) = history_of(model, features)
    for row in range(7):
        alone = [interest_by_hand(model.attention[0], keys[row, j : j + 1], query[row]) for j in range(3)]
        np.testing.assert_allclose(found[row], alone[0] / 4 + alone[1] / 2 + alone[2], rtol=1e-4, atol=1e-5)


def test_a_decay_without_times_says_what_to_add() -> None:
    schema = model_inputs.schema()
    bare = tuple(f.model_copy(update={"times": None}) if f.name == "history" else f for f in schema.features)
    with pytest.raises(UsageError, match="time_decay needs the times of 'history', .* lacks; add `times`"):
        select(schema.model_copy(update={"features": bare}), DINConfig(time_decay=True))
    timed, plain = (select(schema, DINConfig(time_decay=decays)) for decays in (True, False))
    assert [feature.times for feature in (timed[-1], plain[-1])] == ["history_time", None]


@pytest.mark.parametrize("activation", ["sigmoid", "dice"])
def test_rank_with_heads_positions_and_decay(activation: str) -> None:
    model = din(heads=2, positions=True, time_decay=True, attention_activation=activation)
    model(model_inputs.features(model, 9), training=True)
    ranked, called = model_inputs.ranked_and_tiled(model, 7, 3)
    np.testing.assert_allclose(ranked["click"], called["click"], rtol=1e-5, atol=2e-5)


def test_rank_with_nothing_of_the_user_but_a_history() -> None:
    ranked, called = model_inputs.ranked_and_tiled(din(names=["item_id", "history", "genres"]), 7, 3)
    np.testing.assert_allclose(ranked["click"], called["click"], rtol=1e-5, atol=1e-5)


def test_history_and_candidate_share_their_tables() -> None:
    model = din()
    assert len([v for v in model.embeddings.trainable_variables if "item_id" in v.name]) == 1
    assert {t.name for t in model.embeddings.tables} == {"user_id", "hour", "item_id", "genres"}


@pytest.mark.parametrize("attention", ["paper", "softmax"])
def test_histories_that_are_all_empty_are_finite(attention: str) -> None:
    model = din(attention=attention, activation="dice", attention_activation="dice", positions=True, time_decay=True)
    features = {**model_inputs.features(model, 3), "history_length": tf.zeros([3], tf.int32)}
    for training in (False, True):
        with tf.GradientTape() as tape:
            logits = model(features, training=training)["click"]
        found = [tf.convert_to_tensor(g) for g in tape.gradient(logits, model.trainable_variables) if g is not None]
        assert np.isfinite(logits.numpy()).all() and all(np.isfinite(g.numpy()).all() for g in found)
    assert all(np.isfinite(v.numpy()).all() for v in model.variables)


def test_a_number_of_attention_layers_that_is_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="attention_units"):
        model_inputs.build("din", {"attention_units": []})


def test_two_tasks_are_one_too_many() -> None:
    with pytest.raises(UsageError, match="'din' learns one task"):
        model_inputs.build("din", SMALL, tasks=("click", "like"))
