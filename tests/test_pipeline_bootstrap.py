"""The bootstrap over users: against what is drawn row by row, and against what theory says."""

from __future__ import annotations

import math
from typing import List, Tuple

import numpy as np
import pytest

from pipeline.evaluation import bootstrap, metrics
from pipeline.evaluation.bootstrap import Resamples

UNITS = 7


@pytest.fixture
def rows() -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores with many ties, and units: 60 rows of 7 users, of whom one has a single row."""
    draw = np.random.default_rng(3)
    units = np.append(draw.integers(0, UNITS - 1, 59), UNITS - 1)
    labels = (draw.random(60) < 0.3).astype(np.int8)
    return labels, draw.integers(0, 6, 60).astype(np.float32), units


def drawn(weights: np.ndarray, units: np.ndarray) -> np.ndarray:
    """The rows of one resample, each as often as its user was drawn."""
    return np.repeat(np.arange(len(units)), weights[units].astype(int))


def test_a_resample_draws_as_many_as_there_are_and_repeats_itself() -> None:
    resamples = Resamples(UNITS, 20, seed=5)
    first, again = list(resamples), list(resamples)
    assert len(first) == 20 and all(weights.sum() == UNITS for weights in first)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(np.concatenate(list(resamples.blocks())), first)
    assert not np.array_equal(first, list(Resamples(UNITS, 20, seed=6)))


def test_blocks_are_the_draws_however_many_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_CELLS", 3 * UNITS)
    blocks = list(Resamples(UNITS, 20, seed=5).blocks())
    assert [len(block) for block in blocks] == [3] * 6 + [2]
    np.testing.assert_array_equal(np.concatenate(blocks), list(Resamples(UNITS, 20, seed=5)))


def test_pooled_auc_is_that_of_the_rows_drawn(rows: Tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    labels, scores, units = rows
    scores[5] = np.nan
    resamples = Resamples(UNITS, 200, seed=1)
    found = bootstrap.pooled_auc(labels, scores, units, resamples)
    slow: List[float] = []
    for weights in resamples:
        own = drawn(weights, units)
        slow.append(metrics.auc(labels[own], scores[own]))
    np.testing.assert_allclose(found, slow, atol=1e-12)
    assert len(set(found)) > 100


def test_means_and_ratios_are_those_of_the_rows_drawn(rows: Tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    labels, scores, units = rows
    resamples = Resamples(UNITS, 50, seed=2)
    both = bootstrap.means(np.stack([scores, labels], axis=1), units, resamples)
    slow = [(scores[own].mean(), labels[own].mean()) for own in (drawn(w, units) for w in resamples)]
    np.testing.assert_allclose(both, slow, atol=1e-6)
    np.testing.assert_allclose(bootstrap.means(scores, units, resamples), both[:, 0])


def test_one_class_has_no_auc_and_no_interval() -> None:
    resamples = Resamples(4, 10, seed=1)
    found = bootstrap.pooled_auc(np.ones(4), np.arange(4.0), np.arange(4), resamples)
    assert np.isnan(found).all() and bootstrap.interval(found) is None


def test_a_resample_without_a_class_is_left_out() -> None:
    # Two users, one with the positive, one with the negative: a resample of one user alone has no AUC.
    found = bootstrap.pooled_auc(np.array([1, 0]), np.array([2.0, 1.0]), np.array([0, 1]), Resamples(2, 400, seed=1))
    assert set(found[~np.isnan(found)]) == {1.0}
    assert 0.4 < np.isnan(found).mean() < 0.6


def test_the_interval_of_a_share_is_the_binomial_one() -> None:
    # 400 users, 120 hits: the share of a resample is Binomial(400, 0.3) / 400, standard error sqrt(0.3 * 0.7 / 400).
    hits = (np.arange(400) < 120).astype(float)
    draws = bootstrap.means(hits, np.arange(400), Resamples(400, 4000, seed=3))
    error = math.sqrt(0.3 * 0.7 / 400)
    assert draws.std() == pytest.approx(error, rel=0.05)
    low, high = bootstrap.interval(draws) or (0.0, 0.0)
    assert low == pytest.approx(0.3 - 1.96 * error, abs=0.004)
    assert high == pytest.approx(0.3 + 1.96 * error, abs=0.004)


def test_users_who_say_the_same_ten_times_tell_no_more_than_once() -> None:
    # Ten equal rows a user: drawn by user, the error is that of 50 users, not of 500 rows.
    values = np.repeat((np.arange(50) < 20).astype(float), 10)
    draws = bootstrap.means(values, np.repeat(np.arange(50), 10), Resamples(50, 4000, seed=4))
    assert draws.std() == pytest.approx(math.sqrt(0.4 * 0.6 / 50), rel=0.05)


def test_paired_draws_of_a_model_and_itself_are_equal(rows: Tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    labels, scores, units = rows
    one = bootstrap.pooled_auc(labels, scores, units, Resamples(UNITS, 30, seed=9))
    # A monotone change of the scores changes no AUC: the paired interval is a point.
    other = bootstrap.pooled_auc(labels, 2 * scores + 1, units, Resamples(UNITS, 30, seed=9))
    assert bootstrap.interval(one - other) == (0.0, 0.0)


def test_intervals_are_of_what_was_drawn_and_is_defined() -> None:
    draws = {"auc": np.linspace(0, 1, 101), "none": np.full(101, np.nan)}
    found = bootstrap.intervals(draws, ["auc", "none", "absent"])
    assert list(found) == ["auc"] and found["auc"] == pytest.approx((0.025, 0.975))
