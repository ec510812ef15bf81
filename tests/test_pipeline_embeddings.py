"""The embedding seam: rows, sharing, starts and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from pipeline.embeddings import EmbeddingCollection
from pipeline.encoding import FeatureSpace, Table
from pipeline.schema import parse

TABLES = {"item_id": Table("item_id", 50), "history": Table("item_id", 50), "user_id": Table("user_id", 50)}


@pytest.fixture
def space() -> FeatureSpace:
    features = [{"name": name, "side": "user", "kind": "categorical"} for name in TABLES]
    return FeatureSpace(parse({"name": "test", "features": features}, "test"), TABLES)


def test_columns_that_share_a_table_share_its_rows(space: FeatureSpace) -> None:
    collection = EmbeddingCollection(space, TABLES, 4, seed=1)
    vectors = collection({"item_id": tf.constant([7, 9]), "history": tf.constant([[9, 7], [0, 7]])})
    np.testing.assert_array_equal(vectors["item_id"][0], vectors["history"][0, 1])
    np.testing.assert_array_equal(vectors["item_id"][1], vectors["history"][0, 0])
    assert vectors["history"].shape == (2, 2, 4)
    assert [(table.name, table.rows) for table in collection.tables] == [("item_id", 50), ("user_id", 50)]
    assert [tuple(v.shape) for v in collection.trainable_variables] == [(50, 4), (50, 4)]


def test_absent_and_unknown_columns_are_left_out(space: FeatureSpace) -> None:
    collection = EmbeddingCollection(space, ["item_id", "user_id"], 4, seed=1)
    assert set(collection({"item_id": tf.constant([1]), "price": tf.constant([1.0])})) == {"item_id"}


def test_every_table_starts_from_a_seed_of_its_own(space: FeatureSpace) -> None:
    items, users = EmbeddingCollection(space, TABLES, 4, seed=1).trainable_variables
    assert not np.any(items.numpy() == users.numpy())
    again = EmbeddingCollection(space, TABLES, 4, seed=1).trainable_variables[0]
    np.testing.assert_array_equal(items.numpy(), again.numpy())
    other = EmbeddingCollection(space, TABLES, 4, seed=2).trainable_variables[0]
    assert not np.any(items.numpy() == other.numpy())


def test_the_start_has_the_deviation_asked_for(space: FeatureSpace) -> None:
    start = EmbeddingCollection(space, ["item_id"], 400, seed=1, deviation=0.1).trainable_variables[0].numpy()
    # A normal distribution cut at two deviations has 0.88 of the deviation; 20,000 draws leave 0.5 % of error.
    assert np.std(start) == pytest.approx(0.088, rel=0.03)
    assert np.abs(start).max() <= 0.2
    zeros = EmbeddingCollection(space, ["item_id"], 4, seed=1, deviation=0.0).trainable_variables[0].numpy()
    assert not zeros.any()


@pytest.mark.parametrize("fused", [False, True])
def test_side_by_side_is_the_concatenation(space: FeatureSpace, fused: bool) -> None:
    collection = EmbeddingCollection(FeatureSpace(space.schema, TABLES, fused), TABLES, 4, seed=1)
    ids = {"user_id": tf.constant([[7, 0], [3, 49]]), "item_id": tf.constant([[1, 49], [2, 7]])}
    vectors = collection(ids)
    expected = tf.concat([vectors["item_id"], vectors["user_id"]], axis=-1)
    np.testing.assert_array_equal(collection.side_by_side(ids, ["item_id", "user_id"]), expected)
    assert np.any(vectors["item_id"][1, 1] != vectors["user_id"][0, 0])  # row 7 of two tables


def test_the_gradient_holds_only_the_rows_of_the_batch(space: FeatureSpace) -> None:
    collection = EmbeddingCollection(space, ["item_id", "history"], 2, seed=1)

    @tf.function
    def gradient() -> tf.IndexedSlices:
        with tf.GradientTape() as tape:
            vectors = collection({"item_id": tf.constant([3]), "history": tf.constant([[3, 8]])})
            loss = 2.0 * tf.reduce_sum(vectors["item_id"]) + tf.reduce_sum(vectors["history"])
        return tape.gradient(loss, collection.trainable_variables[0])

    found = gradient()
    assert isinstance(found, tf.IndexedSlices)
    by_row = np.zeros((50, 2))
    np.add.at(by_row, found.indices.numpy(), found.values.numpy())
    # Row 3 is the candidate (factor 2) and in the history (factor 1).
    np.testing.assert_array_equal(by_row[[3, 8]], [[3, 3], [1, 1]])
    assert by_row.sum() == 8


def test_all_rows_is_the_table_behind_a_column(space: FeatureSpace) -> None:
    collection = EmbeddingCollection(space, ["history"], 4, seed=1)
    np.testing.assert_array_equal(collection.all_rows("history"), collection.trainable_variables[0])
