"""SASRec: the self-checks of its sheet, with values by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from pipeline.batches import TrainingBatch
from pipeline.encoding import FeatureSpace, Table
from pipeline.models.sasrec import SPEC, SASRec, SASRecConfig
from pipeline.schema import Schema, parse
from signatures.errors import UsageError

ITEMS, MAXIMUM = 10, 6
ITEM = {"name": "film", "kind": "categorical", "side": "item"}
SEQUENCE = {
    "name": "watched",
    "kind": "sequence",
    "side": "user",
    "shares": "film",
    "maximum_length": MAXIMUM,
    "side_sequences": [{"name": "watched_rating"}],
    "times": "watched_time",
}
OTHERS = [
    {"name": "user", "kind": "categorical", "side": "user"},
    {"name": "searches", "kind": "sequence", "side": "user"},
]


def schema(*features: Any, item: Any = "film") -> Schema:
    content = {
        "name": "films",
        "features": [*OTHERS, *(features or (ITEM, SEQUENCE))],
        "labels": [{"name": "following"}],
        "tasks": [{"name": "next", "kind": "next_item", "label": "following"}] if item else [],
        "roles": {"item": item},
    }
    return parse(content, "test")


def model(whole: Any = None, items: int = ITEMS, seed: int = 1, **parameters: Any) -> SASRec:
    whole = schema() if whole is None else whole
    selected = whole.select(SPEC.select(whole, SASRecConfig()), ("next",))
    table = Table("film", items + 2)
    config = SASRecConfig(**{"width": 8, "dropout": 0.0, "negatives": 1, **parameters})
    return SASRec(config, FeatureSpace(selected, {"film": table, "watched": table}), selected.tasks, seed=seed)


def features(histories: List[List[int]], items: Any = None, width: int = MAXIMUM) -> Dict[str, tf.Tensor]:
    """Histories padded to `width` with what must not matter."""
    return {
        "watched": tf.constant([h + [9] * (width - len(h)) for h in histories]),
        "watched_length": tf.constant([len(h) for h in histories]),
        "film": tf.constant([2] * len(histories) if items is None else items),
    }


def losses(made: SASRec, histories: List[List[int]], labels: List[int], training: bool = False) -> np.ndarray:
    batch = TrainingBatch(features(histories, labels), {"following": tf.constant(labels)}, {}, {})
    return made.losses(batch, training=training)["next"].numpy()


def silent(**parameters: Any) -> SASRec:
    """A model whose scores are all 0."""
    made = model(**parameters)
    made(features([[2]]))
    tables = [made.embeddings] if made.biases is None else [made.embeddings, made.biases]
    for variable in [variable for table in tables for variable in table.variables]:
        variable.assign(tf.zeros_like(variable))
    return made


def vivid(**parameters: Any) -> SASRec:
    """A model with large weights and biases of every size, in which no two vectors are nearly the same."""
    made = model(**parameters)
    made(features([[2]]))
    for variable in (*made.embeddings.variables, made.positions):
        variable.assign(50.0 * variable)
    if made.biases is not None:
        made.biases.variables[0].assign(tf.range(float(ITEMS + 2))[:, tf.newaxis])
    return made


def test_an_item_changes_no_state_before_it() -> None:
    made = model()
    before, after = (made.states(features([[2, 3, 4, *tail]])) for tail in ([5, 6, 7], [8, 9, 2]))
    np.testing.assert_allclose(after[:, :3], before[:, :3], atol=1e-6)
    assert not np.allclose(after[:, 3:], before[:, 3:], atol=1e-3)


def test_padding_changes_nothing() -> None:
    made = vivid()
    alone, together = made.states(features([[2, 3]])), made.states(features([[2, 3], [4, 5, 6, 7, 8]]))
    assert alone.shape[1] == 2
    np.testing.assert_allclose(together[:1, :2], alone, atol=1e-6)


def test_history_tells_places_apart_by_position_alone() -> None:
    # One item again and again: attention mixes equals, so without positions every state is the same.
    made, history = model(), features([[4, 4, 4, 4]])
    states = made.states(history).numpy()[0]
    assert not np.allclose(states[0], states[3], atol=1e-3)
    made.positions.assign(tf.zeros_like(made.positions))
    states = made.states(history).numpy()[0]
    np.testing.assert_allclose(states, np.tile(states[:1], (4, 1)), atol=1e-5)


def test_positions_count_from_the_oldest_item() -> None:
    made, history = model(), features([[4, 5]])
    before = made.states(history).numpy()[0]
    rows = tf.one_hot([1, 2, 3, 4, 5], MAXIMUM, axis=0)
    made.positions.assign_add(tf.matmul(rows, tf.fill([5, 8], 0.5) * tf.range(8.0)))
    after = made.states(history).numpy()[0]
    np.testing.assert_allclose(after[0], before[0], atol=1e-6)
    assert not np.allclose(after[1], before[1], atol=1e-3)


def test_the_input_is_scaled_and_the_output_normalised() -> None:
    # Blocks silent: the state is LN(sqrt(8) e + P).
    made, history = model(), features([[4]])
    made(history)
    for variable in made.trainable_variables:
        if "value" in variable.name or "dense" in variable.name:
            variable.assign(tf.zeros_like(variable))
    vector = made.embeddings.all_rows("film").numpy()[4]
    x = math.sqrt(8) * vector + made.positions.numpy()[0]
    np.testing.assert_allclose(made.states(history)[0, 0], (x - x.mean()) / x.std(), rtol=1e-3)


def test_the_logit_is_the_last_state_times_the_items_vector_and_its_bias() -> None:
    made, encoded = vivid(), features([[2, 3, 4], [5]], items=[6, 7])
    states, table = made.states(encoded).numpy(), made.embeddings.all_rows("film").numpy()
    expected = [states[0, 2] @ table[6] + 6, states[1, 0] @ table[7] + 7]
    np.testing.assert_allclose(made(encoded)["next"], expected, rtol=1e-5)
    user, item = made.user_embedding(encoded).numpy(), made.item_embedding(encoded).numpy()
    np.testing.assert_allclose((user * item).sum(axis=1), expected, rtol=1e-5)


def test_without_bias_the_logit_is_the_dot_product_alone() -> None:
    made, encoded = vivid(item_bias=False), features([[2, 3]], items=[6])
    expected = made.states(encoded).numpy()[0, 1] @ made.embeddings.all_rows("film").numpy()[6]
    assert made(encoded)["next"].numpy()[0] == pytest.approx(expected, rel=1e-5)
    assert made.user_embedding(encoded).shape == (1, 8)


def test_rank_scores_each_candidate() -> None:
    made, history = vivid(), features([[2, 3, 4], [5]])
    ranked = made.rank(history, {"film": tf.constant([[6, 7], [8, 9]])})["next"].numpy()
    for column, items in enumerate(([6, 8], [7, 9])):
        np.testing.assert_allclose(ranked[:, column], made({**history, "film": tf.constant(items)})["next"], rtol=1e-5)


@pytest.mark.parametrize("width", [0, MAXIMUM])
def test_no_history_leaves_the_bias(width: int) -> None:
    encoded = features([[]], items=[3], width=width)
    encoded["watched"] = tf.cast(encoded["watched"], tf.int32)
    assert vivid()(encoded)["next"].numpy().tolist() == [3.0]


def test_scores_of_zero_cost_two_log_two_a_position() -> None:
    # 3, 1 and 6 positions, each with one target and one negative; divided by the maximum length of 6.
    found = losses(silent(), [[2, 3, 4], [5], [2, 3, 4, 5, 6, 7]], [8, 9, 8])
    np.testing.assert_allclose(found, np.array([3, 1, 6]) * 2 * math.log(2) / MAXIMUM, rtol=1e-6)


def test_every_position_and_the_label_are_predicted_among_all_items() -> None:
    found = losses(silent(loss="full_softmax"), [[2, 3, 4]], [8])
    np.testing.assert_allclose(found, [3 * math.log(ITEMS) / MAXIMUM], rtol=1e-6)


def test_the_loss_by_hand() -> None:
    made, history = vivid(loss="full_softmax"), [2, 3, 4]
    encoded = features([history])
    states, table = made.states(encoded).numpy()[0], made.embeddings.all_rows("film").numpy()
    expected = 0.0
    for state, target in zip(states, [3, 4, 8]):
        scores = table[2:] @ state + np.arange(2, ITEMS + 2)
        expected += np.log(np.exp(scores).sum()) - scores[target - 2]
    np.testing.assert_allclose(losses(made, [history], [8]), [expected / MAXIMUM], rtol=1e-5)


def test_what_is_no_item_is_not_predicted() -> None:
    # Targets [1, 7, 9]: two of three. Label out of vocabulary or missing: [3] alone.
    found = losses(silent(loss="full_softmax"), [[5, 1, 7], [2, 3], [2, 3]], [9, 1, 0])
    np.testing.assert_allclose(found, np.array([2, 1, 1]) * math.log(ITEMS) / MAXIMUM, rtol=1e-6)


@pytest.mark.parametrize("loss", ["bce", "sampled_softmax", "full_softmax"])
def test_a_row_without_history_has_no_loss_and_spoils_none(loss: str) -> None:
    made = model(loss=loss)
    batch = TrainingBatch(features([[], [2, 3]]), {"following": tf.constant([4, 5])}, {}, {})
    with tf.GradientTape() as tape:
        found = made.losses(batch, training=True)["next"]
    assert found.numpy()[0] == 0.0 and found.numpy()[1] > 0.0
    gradients = tape.gradient(found, made.trainable_variables)
    assert all(np.isfinite(tf.convert_to_tensor(g)).all() for g in gradients if g is not None)
    assert not losses(made, [[], []], [4, 5]).any()


def test_hashed_items_have_no_row_for_the_unknown() -> None:
    hashed = schema({**ITEM, "hash_buckets": ITEMS + 2}, SEQUENCE)
    found = losses(silent(whole=hashed, loss="full_softmax"), [[2, 1]], [1])
    np.testing.assert_allclose(found, [2 * math.log(ITEMS + 1) / MAXIMUM], rtol=1e-6)


def test_a_checkpoint_restores_what_training_draws(tmp_path: Path) -> None:
    one, other = model(dropout=0.5), model(dropout=0.5, seed=2)
    histories, labels = [[2, 3, 4, 5, 6]], [8]
    for made in (one, other):
        losses(made, histories, labels, training=True)
    path = tf.train.Checkpoint(model=one).write(str(tmp_path / "checkpoint"))
    expected = [losses(one, histories, labels, training=True) for _ in range(3)]
    resumed = model(dropout=0.5)
    losses(resumed, histories, labels)
    tf.train.Checkpoint(model=resumed).read(path).assert_existing_objects_matched()
    assert [losses(resumed, histories, labels, training=True) for _ in range(3)] == expected
    assert losses(other, histories, labels, training=True) not in expected


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("loss", ["bce", "sampled_softmax", "full_softmax"])
def test_mixed_precision_gives_finite_float32(policy: str, loss: str) -> None:
    keras.mixed_precision.set_global_policy(policy)
    try:
        made = model(loss=loss, shared_negatives=8)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    batch = TrainingBatch(features([[], [2, 3], [4, 5, 6, 7, 8, 9]]), {"following": tf.constant([4, 5, 6])}, {}, {})
    with tf.GradientTape() as tape:
        found = made.losses(batch, training=True)["next"]
    gradients = tape.gradient(found, made.trainable_variables)
    logit = made(batch.features)["next"]
    assert found.dtype == logit.dtype == tf.float32
    assert all(np.isfinite(tf.convert_to_tensor(x)).all() for x in (found, logit, *gradients))
    exact = model(loss=loss, shared_negatives=8)(batch.features)["next"]
    np.testing.assert_allclose(logit, exact, rtol=0.1, atol=0.05)


def test_it_reads_the_history_and_the_item_and_no_more() -> None:
    found = SPEC.select(schema(), SASRecConfig())
    assert [c.name for feature in found for c in feature.columns()] == ["watched", "watched_length", "film"]


def test_without_a_history_of_items_it_says_so() -> None:
    with pytest.raises(UsageError, match="schema 'films' has no sequence of side user with shares: film"):
        SPEC.select(schema(ITEM), SASRecConfig())


def test_without_an_item_it_says_so() -> None:
    with pytest.raises(UsageError, match="predicts the next roles.item, which is None in schema 'films'"):
        SPEC.select(schema(item=None), SASRecConfig())


def test_one_item_is_not_enough() -> None:
    with pytest.raises(UsageError, match="feature 'film' has 1 items to choose from; sasrec needs at least 2"):
        model(items=1)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="heads is 3, which does not divide width 64; choose a divisor"):
        SASRecConfig(heads=3)
