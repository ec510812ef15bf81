"""Fields that are never concatenated, against the concatenation."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import numpy as np
import pytest
import tensorflow as tf

from pipeline.embeddings import EmbeddingCollection
from pipeline.encoding import FeatureSpace, Table
from pipeline.layers import joined
from pipeline.layers.fields import Fields
from pipeline.schema import parse

WIDTH, UNITS, ROWS = 3, 4, 6
KINDS: Dict[str, Dict[str, Any]] = {
    "genres": {"kind": "bag", "maximum_length": 2},
    "price": {"kind": "numeric"},
    "item_id": {"kind": "categorical"},
    "image": {"kind": "dense", "width": 2},
    "city": {"kind": "categorical"},
    "age": {"kind": "numeric"},
}
ENCODED = {
    "genres": tf.constant([[1, 2], [5, 0]]),
    "genres_length": tf.constant([2, 1]),
    "price": tf.constant([0.5, -2.0]),
    "item_id": tf.constant([3, 4]),
    "image": tf.constant([[1.0, 2.0], [0.0, -1.0]]),
    "city": tf.constant([5, 1]),
    "age": tf.constant([3.0, 0.25]),
}


def made(names: Tuple[str, ...], fused: bool = False) -> Tuple[Fields, EmbeddingCollection]:
    features = [{"name": name, "side": "item", **KINDS[name]} for name in names]
    tables = {name: Table(name, ROWS) for name in names if KINDS[name]["kind"] in ("bag", "categorical")}
    space = FeatureSpace(parse({"name": "test", "features": features}, "test"), tables, fused)
    return Fields(space, WIDTH, seed=1, deviation=1.0), EmbeddingCollection(space, tables, WIDTH, seed=1, deviation=1.0)


def both(names: Tuple[str, ...], fused: bool = False) -> Tuple[joined.Joined, np.ndarray]:
    """The fields as they are joined, and each of them by itself, [F, B, D], in the schema's order."""
    fields, embeddings = made(names, fused)
    found = joined.join(fields, embeddings, ENCODED, ("item",))
    assert found is not None
    return found, np.stack([field.numpy() for field in fields((embeddings(ENCODED), ENCODED)).values()])


# Numbers among the others, others out of the order of the schema, only numbers, none at all.
NAMES: List[Tuple[str, ...]] = [tuple(KINDS), ("genres", "item_id"), ("price", "age"), ("city", "item_id")]
CASES = [(names, fused) for names in NAMES for fused in (False, True) if not fused or names != ("price", "age")]


@pytest.mark.parametrize(("names", "fused"), CASES)
def test_it_adds_up_to_what_the_concatenation_does(names: Tuple[str, ...], fused: bool) -> None:
    found, fields = both(names, fused)
    side_by_side = np.concatenate(list(fields), axis=1)
    kernel = np.random.default_rng(2).normal(size=(side_by_side.shape[1], UNITS)).astype(np.float32)
    np.testing.assert_allclose(joined.product(found, tf.constant(kernel)), side_by_side @ kernel, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(joined.total(found), fields.sum(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(joined.squares(found), np.square(fields).sum(axis=(0, 2)), rtol=1e-5)


def test_a_side_that_is_absent_is_nothing() -> None:
    assert joined.join(*made(("item_id",)), ENCODED, ("user",)) is None


def test_the_gradient_of_the_squares_is_twice_the_cells() -> None:
    x = tf.constant([[1.0, -2.0], [0.5, 3.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = joined.sum_of_squares(x)
        weighted = tf.reduce_sum(found * [1.0, 10.0])
    np.testing.assert_array_equal(found, [5.0, 9.25])
    np.testing.assert_array_equal(tape.gradient(weighted, x), [[2.0, -4.0], [10.0, 60.0]])
