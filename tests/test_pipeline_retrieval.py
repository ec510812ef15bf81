"""Top-k over a catalogue, by hand: three items on the axes of the plane, one of them known by a text."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from pipeline.retrieval.catalogue import Catalogue, Identities
from pipeline.retrieval.exact import ExactIndex
from pipeline.retrieval.top_k import LOWEST, padded, top_k

IDS = np.array([30, 10, 20])
VECTORS = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]], np.float32)


def catalogue(ids: np.ndarray = IDS) -> Catalogue:
    identities = Identities(ids)
    return Catalogue(identities, ExactIndex(VECTORS[identities.order]))


def top(users: list, k: list, exclude: list, length: list, ids: np.ndarray = IDS) -> tuple:
    made = catalogue(ids)
    dtype = tf.string if ids.dtype == object else tf.int64
    barred = made.identities.places(tf.constant(exclude, dtype), tf.constant(length, tf.int64))
    found, scores = made.top(tf.constant(users, tf.float32), tf.constant(k, tf.int32), barred)
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


def test_each_row_has_its_own_exclusions() -> None:
    ids, _ = top([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], [2, 2, 2], [[30, 20], [20, 20], [99, 10]], [2, 2, 2])
    assert ids == [[10, -1], [30, 10], [30, 20]]


def test_exclusions_beyond_their_length_and_unknown_ones_do_not_count() -> None:
    assert top([[1.0, 0.0]], [1], [[99, 30]], [1])[0] == [[30]]


def test_when_all_is_excluded_every_place_is_empty() -> None:
    ids, scores = top([[1.0, 0.0]], [2], [[10, 20, 30]], [3])
    assert ids == [[-1, -1]]
    assert (scores == LOWEST).all()


def test_scores_below_all_floats_are_empty_places() -> None:
    # 0.6 and 0.8 times -3e38 add up to -infinity, which is below even the cells behind the last item.
    ids, scores = top([[-3e38, -3e38]], [3], [[]], [0])
    assert ids == [[10, 30, -1]]
    assert np.isfinite(scores).all()


@pytest.mark.parametrize(("k", "width"), [(0, 0), (-5, 0), (1000, 3)])
def test_k_is_cut_to_what_there_is(k: int, width: int) -> None:
    for length in (0, 2):
        ids, _ = top([[1.0, 0.0]], [k], [[30, 30]], [length])
        assert len(ids[0]) == width


def test_ids_may_be_text() -> None:
    ids, _ = top([[1.0, 0.0]], [3], [["c"]], [1], np.array(["c", "a", "ü"], object))
    assert ids == [["ü".encode(), b"a", b""]]


def test_an_empty_batch_has_an_empty_answer() -> None:
    made = catalogue()
    barred = made.identities.places(tf.zeros([0, 2], tf.int64), tf.zeros([0], tf.int64))
    found, _ = made.top(tf.zeros([0, 2]), tf.zeros([0], tf.int32), barred)
    assert found.shape == (0, 0)


@pytest.mark.parametrize("size", [1, 63, 64, 65, 200, 1000])
def test_blocks_give_what_sorting_everything_gives(size: int) -> None:
    draw = np.random.default_rng(size)
    # Whole numbers, so that ties are everywhere; behind the last column lies what would win everywhere.
    scores = draw.integers(-5, 6, (4, padded(size))).astype(np.float32)
    scores[:, size:] = 99.0
    for k in sorted({0, 1, min(7, size), size // 2, size}):
        best, columns = top_k(tf.constant(scores), tf.constant(k), size)
        expected = np.argsort(-scores[:, :size], axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(columns, expected)
        np.testing.assert_array_equal(best, np.take_along_axis(scores, expected, axis=1))


def test_a_block_of_low_cells_may_hold_the_last_of_the_best() -> None:
    # The best k = 2 are in columns 64 and 0; the block of column 128 has the third best maximum.
    scores = np.zeros((1, 192), np.float32)
    scores[0, [64, 0, 128]] = [3.0, 2.0, 1.0]
    assert top_k(tf.constant(scores), tf.constant(2), 192)[1].numpy().tolist() == [[64, 0]]
