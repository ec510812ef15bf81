"""Top-k over a catalogue, by hand: three items on the axes of the plane, one of them known by a text."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from pipeline.retrieval import LOWEST, Catalogue

IDS = np.array([30, 10, 20])
VECTORS = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]], np.float32)


def top(users: list, k: list, exclude: list, length: list, ids: np.ndarray = IDS) -> tuple:
    catalogue = Catalogue(ids, VECTORS)
    dtype = tf.string if ids.dtype == object else tf.int64
    barred = catalogue.barred(tf.constant(exclude, dtype), tf.constant(length, tf.int64))
    found, scores = catalogue.top(tf.constant(users, tf.float32), tf.constant(k, tf.int32), barred)
    return found.numpy().tolist(), scores.numpy()


def test_the_best_come_first() -> None:
    # Dot products with (1, 0.25): 1 for item 30, 0.25 for 10, and 0.6 + 0.2 for 20.
    ids, scores = top([[1.0, 0.25]], [3], [[]], [0])
    assert ids == [[30, 20, 10]]
    np.testing.assert_allclose(scores, [[1.0, 0.8, 0.25]], rtol=1e-6)


def test_each_row_has_its_own_k() -> None:
    ids, scores = top([[1.0, 0.0], [0.0, 1.0]], [1, 2], [[], []], [0, 0])
    assert ids == [[30, -1], [10, 20]]
    assert scores[0, 1] == LOWEST and np.isfinite(scores).all()


def test_what_is_excluded_is_not_answered_and_leaves_no_gap() -> None:
    ids, _ = top([[1.0, 0.0]], [2], [[30]], [1])
    assert ids == [[20, 10]]


def test_exclusions_beyond_their_length_and_unknown_ones_do_not_count() -> None:
    assert top([[1.0, 0.0]], [1], [[99, 30]], [1])[0] == [[30]]


def test_when_all_is_excluded_every_place_is_empty() -> None:
    ids, scores = top([[1.0, 0.0]], [2], [[10, 20, 30]], [3])
    assert ids == [[-1, -1]]
    assert (scores == LOWEST).all()


@pytest.mark.parametrize(("k", "width"), [(0, 0), (-5, 0), (1000, 3)])
def test_k_is_cut_to_what_there_is(k: int, width: int) -> None:
    ids, _ = top([[1.0, 0.0]], [k], [[]], [0])
    assert len(ids[0]) == width


def test_ids_may_be_text() -> None:
    ids, _ = top([[1.0, 0.0]], [3], [["c"]], [1], np.array(["c", "a", "ü"], object))
    assert ids == [["ü".encode(), b"a", b""]]


def test_an_empty_batch_has_an_empty_answer() -> None:
    catalogue = Catalogue(IDS, VECTORS)
    barred = catalogue.barred(tf.zeros([0, 2], tf.int64), tf.zeros([0], tf.int64))
    found, _ = catalogue.top(tf.zeros([0, 2]), tf.zeros([0], tf.int32), barred)
    assert found.shape == (0, 0)
