"""Indexes that do not look at every item: their blocks, what they find, and what they leave out."""

from __future__ import annotations

import sys
from typing import Any, Tuple

import numpy as np
import pytest
import tensorflow as tf

from pipeline import experiment as experiments
from pipeline.experiment import Retrieval
from pipeline.retrieval import recall
from pipeline.retrieval.catalogue import Catalogue, Identities
from pipeline.retrieval.choice import index_of, lists_of
from pipeline.retrieval.clustering import CAPACITY, blocks
from pipeline.retrieval.exact import ExactIndex
from pipeline.retrieval.inverted_file import InvertedFile, cluster
from pipeline.retrieval.scann_index import ScannIndex
from pipeline.retrieval.top_k import LOWEST
from signatures.errors import UsageError


def clustered(items: int = 3000, users: int = 48, seed: int = 0) -> Tuple[np.ndarray, np.ndarray]:
    """Vectors [M, 8] around 40 centres, of norms that vary, and users [U, 8] around the same."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(40, 8))

    def around(count: int, spread: float) -> np.ndarray:
        near = centres[draw.integers(0, 40, count)] + 0.3 * draw.normal(size=(count, 8))
        return (near * np.exp(draw.normal(0, spread, (count, 1)))).astype(np.float32)

    return around(items, 0.3), around(users, 0.0)


def found(index: Any, users: np.ndarray, width: int) -> Tuple[np.ndarray, np.ndarray]:
    scores, places = index.search(tf.constant(users), tf.constant(width))
    return scores.numpy(), places.numpy()


def test_blocks_hold_every_item_once_and_the_same_again() -> None:
    vectors, _ = clustered(1000)
    table = blocks(vectors, 8, seed=3)
    assert table.shape[1] == CAPACITY
    assert sorted(table[table >= 0].tolist()) == list(range(1000))
    assert ((table[:, 1:] < 0) | (table[:, :-1] >= 0)).all()  # nothing behind an empty cell
    np.testing.assert_array_equal(blocks(vectors, 8, seed=3), table)
    assert not np.array_equal(blocks(vectors, 8, seed=4), table)


def test_a_list_is_cut_by_norm_or_else_along_its_axis() -> None:
    # One list of 2 x 64. Norms of 1 and 10 in turn: the large ones lie together.
    draw = np.random.default_rng(0)
    directions = draw.normal(size=(128, 4)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    sizes = np.where(np.arange(128) % 2, 10.0, 1.0).astype(np.float32)
    by_norm = blocks(directions * sizes[:, np.newaxis], 1, seed=0)
    assert {tuple(np.unique(row % 2)) for row in by_norm} == {(0,), (1,)}
    # Norms all 1, on two opposite ends of one axis: the ends are kept apart.
    ends = np.stack([np.where(np.arange(128) % 2, 1.0, -1.0), np.full(128, 0.1)], axis=1).astype(np.float32)
    by_axis = blocks(ends / np.linalg.norm(ends, axis=1, keepdims=True), 1, seed=0)
    assert {tuple(np.unique(row % 2)) for row in by_axis} == {(0,), (1,)}


def test_items_that_are_all_the_same_are_still_told_apart() -> None:
    table = blocks(np.ones((200, 3), np.float32), 1, seed=0)
    assert sorted(table[table >= 0].tolist()) == list(range(200))
    index = InvertedFile(np.ones((200, 3), np.float32), cluster(np.ones((200, 3), np.float32), 1, 0), probes=99)
    assert sorted(found(index, np.ones((1, 3), np.float32), 200)[1][0].tolist()) == list(range(200))


def test_all_probes_find_what_exact_search_finds() -> None:
    vectors, users = clustered()
    index = InvertedFile(vectors, cluster(vectors, 16, 0), probes=10_000)
    exact_scores, exact_places = found(ExactIndex(vectors), users, 100)
    scores, places = found(index, users, 100)
    np.testing.assert_allclose(scores, exact_scores, rtol=1e-5)
    assert np.mean(places == exact_places) > 0.99  # but for ties


def test_scores_are_exact_and_falling_and_no_item_comes_twice() -> None:
    vectors, users = clustered()
    scores, places = found(InvertedFile(vectors, cluster(vectors, 16, 0), probes=5), users, 60)
    np.testing.assert_allclose(scores, np.einsum("ud,ukd->uk", users, vectors[places]), rtol=1e-4, atol=1e-5)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert all(len(set(row)) == 60 for row in places.tolist())


def test_empty_cells_of_a_block_are_no_items() -> None:
    # 70 items in blocks of 35, and every score is negative: an empty cell, of score 0, would come before all of them.
    vectors = np.abs(clustered(70)[0]) + 0.1
    index = InvertedFile(vectors, cluster(vectors, 1, 0), probes=2)
    scores, places = found(index, -np.ones((2, 8), np.float32), 70)
    assert [sorted(row) for row in places.tolist()] == [list(range(70))] * 2
    assert (scores < 0).all() and (scores > LOWEST).all()


def test_a_user_is_answered_alone_as_in_company() -> None:
    vectors, users = clustered()
    index = InvertedFile(vectors, cluster(vectors, 16, 0), probes=5)
    together = found(index, users, 30)[0]
    for row in range(5):
        np.testing.assert_allclose(found(index, users[row : row + 1], 30)[0], together[row : row + 1], rtol=1e-5)


def test_more_probes_find_more_and_the_fewest_are_enough() -> None:
    vectors, users = clustered()
    made = cluster(vectors, 16, 0)
    truth = recall.best(users, vectors)
    probes = made.fewest_probes(users, list(truth.values()), 0.9)
    reached = {}
    for count in (1, probes - 1, probes):
        answered = found(InvertedFile(vectors, made, count), users, 100)[1]
        answered = np.pad(answered, [(0, 0), (0, 100 - answered.shape[1])], constant_values=-1)
        reached[count] = recall.recall(users, vectors, answered, truth)
    assert min(reached[probes].values()) >= 0.9 > min(reached[probes - 1].values()) > min(reached[1].values())


@pytest.mark.parametrize("probes", [1, 3])
def test_more_than_the_probed_blocks_hold_are_empty_places(probes: int) -> None:
    vectors, users = clustered(300)
    identities = Identities(np.arange(1000, 1300))
    made = cluster(vectors[identities.order], 4, 0)
    catalogue = Catalogue(identities, InvertedFile(vectors[identities.order], made, probes))
    everything = tf.fill([len(users)], 500)
    nothing = tf.zeros([len(users), 0], tf.int32)
    ids, scores = (each.numpy() for each in catalogue.top(tf.constant(users), everything, nothing))
    assert ids.shape == scores.shape == (len(users), 300)
    held = (ids >= 0).sum(axis=1)
    assert (held <= probes * CAPACITY).all() and (held > 0).all()
    np.testing.assert_array_equal(ids < 0, scores == LOWEST)
    np.testing.assert_array_equal(ids < 0, np.arange(300) >= held[:, np.newaxis])


def test_an_excluded_item_makes_room_for_the_next() -> None:
    vectors, users = clustered()
    identities = Identities(np.arange(len(vectors)) * 7)
    catalogue = Catalogue(identities, InvertedFile(vectors, cluster(vectors, 16, 0), probes=12))
    ten = tf.fill([len(users)], 10)
    whole, _ = catalogue.top(tf.constant(users), tf.fill([len(users)], 20), tf.zeros([len(users), 0], tf.int32))
    excluded = whole[:, 1:9:2]
    barred = identities.places(excluded, tf.fill([len(users)], tf.constant(4, tf.int64)))
    ids, _ = catalogue.top(tf.constant(users), ten, barred)
    for row, out, answered in zip(whole.numpy().tolist(), excluded.numpy().tolist(), ids.numpy().tolist()):
        assert answered == [each for each in row if each not in out][:10]


def test_recall_counts_what_was_found() -> None:
    # Scores of the user are 4, 3, 3, 1 for the four items: the best two are 0 and either of the others.
    vectors, users = np.array([[4.0], [3.0], [3.0], [1.0]], np.float32), np.array([[1.0]], np.float32)
    truth = {2: np.array([[0, 1]])}
    for answered, share in (([0, 1], 1.0), ([0, 2], 1.0), ([2, 0], 1.0), ([0, 3], 0.5), ([-1, -1], 0.0), ([0, 0], 0.5)):
        assert recall.recall(users, vectors, np.array([answered]), truth) == {"recall@2": share}


def test_the_best_by_numpy_are_the_best() -> None:
    vectors, users = clustered(150)
    truth = recall.best(users, vectors)
    assert set(truth) == {10, 100} and set(recall.best(users, vectors[:50])) == {10}
    assert set(recall.best(users, vectors[:5])) == {5}
    expected = np.argsort(-(users @ vectors.T), axis=1)[:, :10]
    np.testing.assert_array_equal(np.sort(truth[10], axis=1), np.sort(expected, axis=1))


@pytest.mark.parametrize(
    ("settings", "items", "kind"),
    [
        ({"exact_items": 300}, 300, ExactIndex),
        ({"exact_items": 299}, 300, InvertedFile),
        ({"index": "exact", "exact_items": 10}, 300, ExactIndex),
        ({"index": "inverted_file"}, 300, InvertedFile),
    ],
)
def test_the_number_of_items_chooses_the_index(settings: dict, items: int, kind: type) -> None:
    vectors, _ = clustered(items)
    assert isinstance(index_of(Retrieval(**settings), vectors, seed=1), kind)


def test_probes_are_those_given_or_those_that_users_need() -> None:
    vectors, users = clustered()
    wanted = Retrieval(index="inverted_file", lists=16, recall=0.9)
    given = index_of(wanted.model_copy(update={"probes": 3}), vectors, 1, users).described()
    assert given == {"index": "inverted_file", "lists": 16, "probes": 3}
    made = cluster(vectors, 16, 1)
    chosen = index_of(wanted, vectors, 1, users).described()["probes"]
    assert chosen == made.fewest_probes(users, list(recall.best(users, vectors).values()), 0.9)
    assert index_of(wanted, vectors, 1).described()["probes"] == -(-len(made.places) // 8)


def test_lists_follow_the_number_of_items() -> None:
    assert [lists_of(Retrieval(), items) for items in (1, 100, 10_000, 1_000_000)] == [1, 8, 128, 1024]
    with pytest.raises(UsageError, match="retrieval.lists is 9, but the catalogue has 8 items; use at most"):
        lists_of(Retrieval(lists=9), 8)


def test_the_part_of_an_experiment_is_checked() -> None:
    content = {"model": "two_tower", "tasks": ["click"], "retrieval": {"probs": 3}}
    with pytest.raises(UsageError, match="probs"):
        experiments.parse(content, "here")


def test_scann_finds_the_best_and_is_an_index() -> None:
    pytest.importorskip("scann", reason="scann has no wheel for this platform")
    vectors, users = clustered()
    index = ScannIndex(vectors, 16)
    scores, places = found(index, users, 20)
    np.testing.assert_allclose(scores, np.einsum("ud,ukd->uk", users, vectors[places]), rtol=1e-4, atol=1e-5)
    truth = recall.best(users, vectors)
    answered = found(index, users, 100)[1]
    assert recall.recall(users, vectors, answered, truth)["recall@100"] > 0.9
    assert index.described() == {"index": "scann", "lists": 16, "probes": 16}
    assert found(index, users, 0)[1].shape == (len(users), 0)


def test_scann_leaves_places_empty_where_it_found_no_more() -> None:
    pytest.importorskip("scann", reason="scann has no wheel for this platform")
    vectors, users = clustered(300)
    identities = Identities(np.arange(300))
    catalogue = Catalogue(identities, ScannIndex(vectors, 128))  # searches 64 leaves of 128
    ids, scores = catalogue.top(tf.constant(users), tf.fill([len(users)], 300), tf.zeros([len(users), 0], tf.int32))
    assert ids.shape == (len(users), 300) and (ids.numpy()[:, -1] == -1).all() and (ids.numpy()[:, 0] >= 0).all()
    assert np.isfinite(scores.numpy()).all()
    np.testing.assert_array_equal(ids.numpy() < 0, scores.numpy() == LOWEST)


def test_scann_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="the catalogue has 5 items.*set it to false"):
        ScannIndex(clustered(5)[0], 1)
    monkeypatch.setitem(sys.modules, "scann", None)
    with pytest.raises(UsageError, match="retrieval.scann is true, but ScaNN cannot be imported.*set it to false"):
        ScannIndex(clustered(100)[0], 4)
