"""Slices worked by hand: who is in which quarter, what is head, torso and tail, and what each part's figures are."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation import slices
from pipeline.evaluation.bootstrap import Resamples
from pipeline.evaluation.slices import Lists, by_activity, by_popularity
from pipeline.prepared import Prepared


def test_quarters_of_the_users_by_their_training_events() -> None:
    # Eight users with 1..8 events; the quarters end at 2, 4 and 6. User 8 has two rows, and counts once as a user.
    users = np.array([1, 2, 3, 4, 5, 6, 7, 8, 8])
    found = by_activity(users, users)
    assert found.names == ("1 to 2 training events", "3 to 4 training events", "5 to 6 training events",
                           "7 to 8 training events")
    assert found.of.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 3]


def test_users_alike_are_one_slice() -> None:
    found = by_activity(np.array([20, 20, 20]), np.array([1, 2, 3]))
    assert found.names == ("20 training events",) and found.of.tolist() == [0, 0, 0]


def test_head_torso_and_tail_by_their_share_of_the_events() -> None:
    # Sorted: 50, 30, 10, 5, 5, 0. Events before each: 0, 50, 80, 90, 95, 100 of 100. The head ends at half of them,
    # the torso at nine tenths.
    counts = np.array([5, 30, 50, 0, 10, 5])
    found = by_popularity(counts, np.array([2, 1, 4, 0, 5, 3, 2]))
    assert found.names == ("head, 1 item", "torso, 2 items", "tail, 3 items")
    assert found.of.tolist() == [0, 1, 1, 2, 2, 2, 0]


def test_a_part_that_nobody_met_is_no_slice() -> None:
    found = by_popularity(np.array([50, 30, 10, 5, 5]), np.array([3, 0]))
    assert found.names == ("head, 1 item", "tail, 2 items") and found.of.tolist() == [1, 0]


def test_training_events_are_counted_in_training_alone(tiny_prepared: Prepared) -> None:
    from pipeline import rows as row_files

    user = str(tiny_prepared.schema.roles.user)
    own = row_files.read(tiny_prepared, "train", (), [user])[user]
    asked = np.array([own[0], 10**9, own[-1]])
    assert slices.training_events(tiny_prepared, asked).tolist() == [(own == own[0]).sum(), 0, (own == own[-1]).sum()]


def test_figures_of_a_slice_are_of_its_lists_alone() -> None:
    # Two lists of three in each slice. In the first both positives are above all others; in the second one is last.
    scores = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [0.0, 2.0, 1.0]])
    labels = np.zeros((4, 3), np.int8)
    labels[:, 0] = 1
    found = slices.figures(
        Lists(labels, scores, np.array([1, 1, 1, 3]), np.arange(4)),
        slices.Slicing("half", ("good", "mixed"), np.array([0, 0, 1, 1])),
        k=2,
        resamples=Resamples(4, 300, seed=1),
    )
    good, mixed = found
    assert (good.by, good.name, good.rows) == ("half", "good", 2)
    assert good.figures == {"auc": 1.0, "hr@2": 1.0, "ndcg@2": 1.0}
    assert good.intervals["auc"] == (1.0, 1.0)
    # Of the second: positives 3 and 0 against 2, 1, 2, 1: four of eight pairs are in order.
    assert mixed.figures == pytest.approx({"auc": 0.5, "hr@2": 0.5, "ndcg@2": 0.5})
    assert mixed.intervals["hr@2"] == (0.0, 1.0)


def test_labelled_rows_have_an_auc_only() -> None:
    found = slices.figures(
        Lists(np.array([[1], [0], [1]]), np.array([[2.0], [1.0], [0.0]]), None, np.array([0, 0, 1])),
        slices.Slicing("all", ("all",), np.zeros(3, np.int64)),
        k=10,
        resamples=Resamples(2, 50, seed=1),
    )
    assert found[0].figures == {"auc": 0.5}
