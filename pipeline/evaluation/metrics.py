"""Figures of merit, exact and vectorised: numpy in, plain numbers out; NaN where a figure is not defined.

Areas and losses compare labels [n] with scores [n]; the figures at k start from the rank of each list's positive.
A score that is NaN is no answer: it is below every number.
"""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple

import numpy as np


class Gauc(NamedTuple):
    """AUC within each group, averaged with the groups' rows (impressions) as weights."""

    value: float
    """NaN when no group has both classes."""
    groups: int
    """That have both classes, and count."""
    skipped: int
    """That have one class only, where no AUC exists."""


class Reliability(NamedTuple):
    """Bins of equally many predictions; equal predictions are never split between two bins. Arrays of [bins]."""

    predicted: np.ndarray
    """Mean probability."""
    observed: np.ndarray
    """Share of positives."""
    rows: np.ndarray


class Standing(NamedTuple):
    """Where each list's positive stands among the others of its list; int64 [n] each."""

    above: np.ndarray
    """Others with a higher score."""
    tied: np.ndarray
    """Others with the same score."""
    others: np.ndarray

    @property
    def ranks(self) -> np.ndarray:
        """1 + the others that score at least as much: ties count against the model."""
        return 1 + self.above + self.tied

    @property
    def areas(self) -> np.ndarray:
        """AUC of each list, float64 [n]; ties count half; NaN for a list without others."""
        below = self.others - self.above - self.tied
        with np.errstate(invalid="ignore"):
            return (below + 0.5 * self.tied) / self.others


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Probability that a positive scores above a negative, ties half, over all pairs; NaN for one class only."""
    found = gauc(labels, scores, np.zeros(len(labels), np.int64))
    return found.value


def gauc(labels: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> Gauc:
    """AUC of labels (0 or 1) and scores within each group (ids [n] of any sortable type); see `Gauc`."""
    if not len(labels):
        return Gauc(float("nan"), 0, 0)
    _, group = np.unique(groups, return_inverse=True)
    areas, rows = group_areas(labels, scores, group)
    both = ~np.isnan(areas)
    if not both.any():
        return Gauc(float("nan"), 0, len(rows))
    return Gauc(float(np.average(areas[both], weights=rows[both])), int(both.sum()), int((~both).sum()))


def group_areas(labels: np.ndarray, scores: np.ndarray, group: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """AUC of each group, float64 [G], NaN where it has one class only, and its rows, int64 [G]; group [n] is 0..G-1."""
    scores = _answered(scores)
    order = np.lexsort((scores, group))
    group, scores, positive = group[order], scores[order], labels[order] > 0
    rows = np.bincount(group)
    positives = np.bincount(group[positive], minlength=len(rows))
    # Twice the mean rank of a row's ties in its group is a whole number, so that the sums are exact.
    twice = _twice_mean_ranks(group, scores) - 2 * (np.cumsum(rows) - rows)[group]
    above = np.zeros(len(rows), np.int64)
    np.add.at(above, group[positive], twice[positive])
    pairs = positives * (rows - positives)
    with np.errstate(invalid="ignore"):
        return (above - positives * (positives + 1)) / np.where(pairs > 0, 2.0 * pairs, np.nan), rows


def roc(labels: np.ndarray, scores: np.ndarray, points: int = 200) -> Tuple[np.ndarray, np.ndarray]:
    """False and true positive rate, float64, from (0, 0) to (1, 1): at most about `points` of the exact curve."""
    scores = _answered(scores)
    order = np.argsort(-scores, kind="stable")
    scores, positive = scores[order], labels[order] > 0
    last = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(scores) - 1)
    true, false = np.cumsum(positive)[last], np.cumsum(~positive)[last]
    false, true = np.append(0, false) / max(false[-1], 1), np.append(0, true) / max(true[-1], 1)
    # Evenly along both axes, so that neither end of the curve becomes a chord.
    wanted = np.linspace(0, 2, points)
    kept = np.unique(np.append(np.searchsorted(false + true, wanted).clip(0, len(false) - 1), [0, len(false) - 1]))
    return false[kept], true[kept]


def log_loss(labels: np.ndarray, logits: np.ndarray) -> float:
    """Mean of `log_losses`; NaN for no rows or a NaN."""
    return float(np.mean(log_losses(labels, logits))) if len(labels) else float("nan")


def log_losses(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """-[y log s(z) + (1-y) log(1 - s(z))], float64 [n], exact for saturated logits."""
    z, y = logits.astype(np.float64), labels.astype(np.float64)
    losses: np.ndarray = np.logaddexp(0.0, z) - y * z
    return losses


def probabilities(logits: np.ndarray) -> np.ndarray:
    """s(z), float64, without overflow."""
    z = logits.astype(np.float64)
    return np.exp(-np.logaddexp(0.0, -z))


def calibration_ratio(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Expected over observed positives: above 1 the model promises too much; NaN without positives."""
    observed = float(np.sum(labels))
    return float(np.sum(predicted, dtype=np.float64)) / observed if observed else float("nan")


def reliability(labels: np.ndarray, predicted: np.ndarray, bins: int = 15) -> Reliability:
    """Predicted against observed in at most `bins` bins; rows whose probability is NaN are left out."""
    known = ~np.isnan(predicted)
    labels, predicted = labels[known].astype(np.float64), predicted[known].astype(np.float64)
    if not len(predicted):
        return Reliability(np.zeros(0), np.zeros(0), np.zeros(0, np.int64))
    edges = np.sort(predicted)[np.arange(1, bins) * len(predicted) // bins]
    _, bin_of = np.unique(np.searchsorted(edges, predicted, side="right"), return_inverse=True)
    rows = np.bincount(bin_of)
    mean = np.bincount(bin_of, predicted) / rows
    return Reliability(mean, np.bincount(bin_of, labels) / rows, rows)


def expected_calibration_error(curve: Reliability) -> float:
    """Mean of |predicted - observed| over the bins, weighted by their rows; NaN for no rows."""
    if not len(curve.rows):
        return float("nan")
    return float(np.average(np.abs(curve.predicted - curve.observed), weights=curve.rows))


def standing(scores: np.ndarray, positive: np.ndarray, listed: Optional[np.ndarray] = None) -> Standing:
    """Compares the positive with the others of its list.

    scores: [n, N]. positive: int [n], the positive's column. listed: bool [n, N], true for the candidates (all unless
    given; the positive always is one). A positive that scores NaN is below all others.
    """
    rows = np.arange(len(scores))
    own = scores[rows, positive][:, np.newaxis]
    others = np.ones(scores.shape, bool) if listed is None else listed.copy()
    others[rows, positive] = False
    above = others & ((scores > own) | np.isnan(own))
    tied = others & (scores == own)
    return Standing(above.sum(1), tied.sum(1), others.sum(1))


def hit_rate(ranks: np.ndarray, k: int) -> np.ndarray:
    """1 where the list's one positive is among the first k, float64 [n]; with one positive it is recall at k too."""
    return (ranks <= k).astype(np.float64)


def precision(ranks: np.ndarray, k: int) -> np.ndarray:
    """Share of the first k places that hold the positive, float64 [n]."""
    return hit_rate(ranks, k) / k


def ndcg(ranks: np.ndarray, k: int) -> np.ndarray:
    """1 / log2(1 + rank) within the first k, float64 [n]; the ideal list, the positive first, has 1."""
    return np.where(ranks <= k, 1.0 / np.log2(1.0 + ranks), 0.0)


def reciprocal_rank(ranks: np.ndarray, k: Optional[int] = None) -> np.ndarray:
    """1 / rank within the first k places (all unless given), float64 [n]."""
    return np.where(ranks <= (np.inf if k is None else k), 1.0 / ranks, 0.0)


def _answered(scores: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(scores), -np.inf, scores)


def _twice_mean_ranks(group: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Of rows sorted by group and score: first plus last rank, counted from 1, of each row's ties, int64 [n]."""
    new = np.append(True, (group[1:] != group[:-1]) | (scores[1:] != scores[:-1]))
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(scores)) - 1
    return (first + last + 2)[np.cumsum(new) - 1]
