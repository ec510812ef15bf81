"""Each figure against values worked by hand, and against scikit-learn where it has the same one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from pipeline.evaluation import metrics


def _array(*values: float) -> np.ndarray:
    return np.array(values, np.float64)


def test_auc_counts_pairs_and_half_of_ties():
    # Positives 0.8 and 0.4, negatives 0.4 and 0.1: pairs 1, 1, 1/2, 1 of 4.
    assert metrics.auc(_array(1, 1, 0, 0), _array(0.8, 0.4, 0.4, 0.1)) == 3.5 / 4


def test_auc_of_constant_scores_is_one_half():
    assert metrics.auc(_array(1, 0, 0, 1, 0), np.zeros(5)) == 0.5


@pytest.mark.parametrize("labels", [[], [1, 1], [0, 0]])
def test_auc_of_one_class_is_not_a_number(labels):
    assert math.isnan(metrics.auc(np.array(labels), np.arange(len(labels), dtype=float)))


def test_a_nan_score_is_below_every_number():
    # The positive without an answer loses both pairs; the negative without one loses its pair.
    assert metrics.auc(_array(1, 0, 0), _array(np.nan, -5, 2)) == 0.0
    assert metrics.auc(_array(1, 0), _array(-1e30, np.nan)) == 1.0


def test_gauc_weighs_by_rows_and_counts_groups_of_one_class():
    # Group a: 4 rows, one positive above 2 of 3 negatives: 2/3. Group b: 2 rows, 0. Group c: positives only.
    labels = _array(1, 0, 0, 0, 1, 0, 1)
    scores = _array(5, 9, 1, 2, 1, 3, 7)
    groups = np.array(["a", "a", "a", "a", "b", "b", "c"], object)
    found = metrics.gauc(labels, scores, groups)
    assert found.value == pytest.approx((4 * 2 / 3 + 2 * 0) / 6)
    assert (found.groups, found.skipped) == (2, 1)


def test_gauc_ignores_what_separates_the_groups():
    # Each group is ordered perfectly; pooled, group 0's positive is below group 1's negative: 3 of 4 pairs.
    labels, scores, groups = _array(1, 0, 1, 0), _array(1, 0, 11, 10), np.array([0, 0, 1, 1])
    assert metrics.gauc(labels, scores, groups).value == 1.0
    assert metrics.auc(labels, scores) == 0.75


def test_gauc_without_any_group_of_both_classes():
    found = metrics.gauc(_array(1, 0), _array(1, 2), np.array([7, 8]))
    assert math.isnan(found.value) and (found.groups, found.skipped) == (0, 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3), st.integers(0, 2)), min_size=2, max_size=60))
def test_auc_and_gauc_equal_scikit_learn_per_group(rows):
    labels, scores, groups = (np.array(column, float) for column in zip(*rows))
    if 0 < labels.sum() < len(labels):
        assert metrics.auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    areas, weights = [], []
    for group in np.unique(groups):
        own = groups == group
        if 0 < labels[own].sum() < own.sum():
            areas.append(roc_auc_score(labels[own], scores[own]))
            weights.append(own.sum())
    found = metrics.gauc(labels, scores, groups)
    assert found.groups == len(areas)
    if areas:
        assert found.value == pytest.approx(np.average(areas, weights=weights), abs=1e-12)


def test_roc_passes_through_the_steps_and_the_ties():
    # Ordered: 0.9 (+), 0.5 (+ and -, tied: one slanted step), 0.1 (-).
    false, true = metrics.roc(_array(1, 1, 0, 0), _array(0.9, 0.5, 0.5, 0.1))
    assert list(zip(false, true)) == [(0, 0), (0, 0.5), (0.5, 1), (1, 1)]


def test_a_thinned_roc_keeps_the_area():
    random = np.random.default_rng(0)
    labels = (random.random(20000) < 0.3).astype(float)
    scores = random.normal(size=20000) + labels
    false, true = metrics.roc(labels, scores)
    area = np.sum(np.diff(false) * (true[1:] + true[:-1]) / 2)
    assert len(false) <= 202
    assert area == pytest.approx(metrics.auc(labels, scores), abs=1e-3)


def test_log_loss_by_hand_and_at_saturation():
    # s(0) = 1/2 costs log 2; s(log 3) = 3/4 for a negative costs -log(1/4).
    assert metrics.log_loss(_array(1, 0), _array(0, math.log(3))) == pytest.approx((math.log(2) + math.log(4)) / 2)
    # A float32 sigmoid of 200 is 1 and would cost infinity; the exact cost is 200.
    assert metrics.log_loss(np.array([0.0]), np.array([200.0], np.float32)) == pytest.approx(200.0)
    assert math.isnan(metrics.log_loss(np.zeros(0), np.zeros(0)))


def test_probabilities_do_not_overflow():
    with np.errstate(all="raise", under="ignore"):
        found = metrics.probabilities(_array(-1000, 0, 1000))
    assert list(found) == [0.0, 0.5, 1.0]


def test_calibration_ratio_is_expected_over_observed():
    # Promised 0.5 + 0.5 + 0.2 = 1.2 positives, got 1.
    assert metrics.calibration_ratio(_array(1, 0, 0), _array(0.5, 0.5, 0.2)) == pytest.approx(1.2)
    assert math.isnan(metrics.calibration_ratio(_array(0, 0), _array(0.5, 0.5)))


def test_reliability_bins_and_their_error():
    # Two bins of two: (0.1, 0.3 | labels 0, 0) and (0.6, 0.8 | labels 1, 0): |0.2 - 0| and |0.7 - 0.5|, equal weights.
    curve = metrics.reliability(_array(0, 0, 1, 0), _array(0.1, 0.3, 0.6, 0.8), bins=2)
    assert curve.predicted == pytest.approx([0.2, 0.7])
    assert curve.observed == pytest.approx([0.0, 0.5])
    assert list(curve.rows) == [2, 2]
    assert metrics.expected_calibration_error(curve) == pytest.approx(0.2)


def test_equal_predictions_stay_in_one_bin_whatever_their_order():
    labels = np.array([0, 1] * 50, float)
    for order in (np.arange(100), np.argsort(labels)):
        curve = metrics.reliability(labels[order], np.full(100, 0.5))
        assert list(curve.rows) == [100]
        assert metrics.expected_calibration_error(curve) == 0.0


def test_expected_calibration_error_weighs_by_rows():
    curve = metrics.Reliability(_array(0.5, 0.9), _array(0.1, 0.9), np.array([1, 3]))
    assert metrics.expected_calibration_error(curve) == pytest.approx((1 * 0.4 + 3 * 0.0) / 4)


def test_ranks_count_ties_against_the_model():
    # The positive, 2, is below 3 and tied with two others: 1 + 1 + 2.
    found = metrics.standing(np.array([[2.0, 3.0, 2.0, 1.0, 2.0]]), np.array([0]))
    assert list(found.ranks) == [4]
    assert found.areas == pytest.approx([(1 + 0.5 * 2) / 4])  # one below, two tied, of four


def test_a_constant_scorer_ranks_last():
    assert list(metrics.standing(np.zeros((2, 11)), np.array([0, 5])).ranks) == [11, 11]


def test_a_nan_ranks_last_and_a_nan_candidate_is_never_above():
    scores = np.array([[np.nan, 1, 2, np.nan], [-9, np.nan, -10, np.nan], [-np.inf, np.nan, 0, np.nan]])
    # Row 0: the positive has no answer, last of 4. Row 1: nothing above -9. Row 2: -inf still beats both NaN.
    assert list(metrics.standing(scores, np.array([0, 0, 0])).ranks) == [4, 1, 2]


def test_what_is_not_listed_does_not_count():
    scores = np.array([[9.0, 1.0, 8.0, 3.0]])
    listed = np.array([[False, False, True, True]])
    found = metrics.standing(scores, np.array([3]), listed)
    # Of 9 (not listed), 1 (not listed) and 8, only 8 is a candidate above 3.
    assert (found.above[0], found.tied[0], found.others[0]) == (1, 0, 1)
    assert listed.tolist() == [[False, False, True, True]]


def test_figures_at_k_by_hand():
    ranks = np.array([1, 3, 11])
    assert list(metrics.hit_rate(ranks, 10)) == [1, 1, 0]
    assert metrics.precision(ranks, 10) == pytest.approx([0.1, 0.1, 0])
    assert metrics.ndcg(ranks, 10) == pytest.approx([1, 0.5, 0])  # 1 / log2(2), 1 / log2(4)
    assert metrics.reciprocal_rank(ranks, 10) == pytest.approx([1, 1 / 3, 0])
    assert metrics.reciprocal_rank(ranks) == pytest.approx([1, 1 / 3, 1 / 11])
    assert list(metrics.hit_rate(ranks, 1)) == [1, 0, 0]
