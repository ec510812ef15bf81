"""How well a scorer ranks: sampled lists, whose scores are kept for the pooled AUC, and the full ranking by blocks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np

from pipeline.evaluation import candidates, metrics
from pipeline.evaluation.candidates import Lists
from pipeline.evaluation.results import At, Curve, Histogram, Protocol, Ranking, Scores
from pipeline.evaluation.rows import Positives
from pipeline.evaluation.scoring import Scorer
from pipeline.items import ItemTable, Seen
from pipeline.rows import take

_FULL_CELLS = 2**21
"""Scores of the full ranking held at once."""


@dataclass(frozen=True)
class SampledScores:
    """What one scorer says to all sampled lists."""

    scores: np.ndarray
    """float32 [n, 1 + negatives], the positive first."""
    groups: np.ndarray
    """[n] int64: the user of each list."""
    seconds: float

    @property
    def labels(self) -> np.ndarray:
        """int8 of the shape of scores."""
        labels = np.zeros(self.scores.shape, np.int8)
        labels[:, 0] = 1
        return labels

    @property
    def ranks(self) -> np.ndarray:
        """[n], ties against the model."""
        return metrics.standing(self.scores, np.zeros(len(self.scores), np.int64)).ranks

    @property
    def auc(self) -> float:
        """Pooled over all lists."""
        return metrics.auc(self.labels.ravel(), self.scores.ravel())

    @property
    def gauc(self) -> metrics.Gauc:
        """Per user."""
        return metrics.gauc(self.labels.ravel(), self.scores.ravel(), np.repeat(self.groups, self.scores.shape[1]))


def score_lists(scorer: Scorer, positives: Positives, lists: Lists) -> SampledScores:
    """Asks the scorer for every list."""
    start = time.perf_counter()
    scores = scorer.score(take(positives.rows, lists.rows), lists.positions)
    seconds = time.perf_counter() - start
    return SampledScores(scores, groups_of(positives.users[lists.rows]), seconds)


def sampled_ranking(found: SampledScores, protocol: Protocol) -> Ranking:
    """All figures and curves of the sampled lists."""
    gauc = found.gauc
    labels, scores = found.labels.ravel(), found.scores.ravel()
    false, true = metrics.roc(labels, scores)
    return _ranking(
        found.ranks, np.full(len(found.scores), found.scores.shape[1]), protocol, auc=found.auc, gauc=gauc,
        roc=Curve(x=_plain(false), y=_plain(true)), scores=_score_spread(labels, scores),
        unanswered=int(np.isnan(scores).sum()), seconds=found.seconds,
    )


@dataclass(frozen=True)
class FullRanks:
    """Where the positives stand among all items; arrays of [n]."""

    ranks: np.ndarray
    areas: np.ndarray
    """AUC of each list; NaN for one without others."""
    lengths: np.ndarray
    groups: np.ndarray
    """int64: the user of each list."""
    unanswered: int
    seconds: float


def rank_everything(scorer: Scorer, positives: Positives, items: ItemTable, before: Seen) -> FullRanks:
    """Each positive among all items but those in `before`."""
    start = time.perf_counter()
    count, size = len(positives.items), len(items.ids)
    ranks, areas, lengths, unanswered = [], [], [], 0
    block = max(1, _FULL_CELLS // size)
    for first in range(0, count, block):
        own = np.arange(first, min(count, first + block))
        everything = np.broadcast_to(np.arange(size), (len(own), size))
        scores = scorer.score(take(positives.rows, own), everything)
        listed = candidates.full(positives.users[own], positives.items[own], items, before)
        standing = metrics.standing(scores, positives.items[own], listed)
        ranks.append(standing.ranks)
        areas.append(standing.areas)
        lengths.append(standing.others + 1)
        unanswered += int((np.isnan(scores) & listed).sum())
    seconds = time.perf_counter() - start
    return FullRanks(
        np.concatenate(ranks), np.concatenate(areas), np.concatenate(lengths), groups_of(positives.users), unanswered,
        seconds,
    )


def full_ranking(found: FullRanks, protocol: Protocol) -> Ranking:
    """All figures and curves of the full ranking."""
    known = ~np.isnan(found.areas)
    mean = float(found.areas[known].mean()) if known.any() else float("nan")
    gauc = metrics.Gauc(mean, int(known.sum()), int((~known).sum()))
    return _ranking(
        found.ranks, found.lengths, protocol, auc=None, gauc=gauc, roc=None, scores=None,
        unanswered=found.unanswered, seconds=found.seconds,
    )


def groups_of(users: np.ndarray) -> np.ndarray:
    """Raw ids of any type to int64."""
    _, groups = np.unique(users, return_inverse=True)
    return groups.astype(np.int64)


def _ranking(
    ranks: np.ndarray,
    lengths: np.ndarray,
    protocol: Protocol,
    *,
    auc: Optional[float],
    gauc: metrics.Gauc,
    roc: Optional[Curve],
    scores: Optional[Scores],
    unanswered: int,
    seconds: float,
) -> Ranking:
    steps = range(1, max(protocol.ks) + 1)
    return Ranking(
        lists=len(ranks),
        candidates=float(lengths.mean()),
        auc=defined(auc),
        gauc=defined(gauc.value),
        gauc_groups=gauc.groups,
        gauc_skipped=gauc.skipped,
        mrr=float(metrics.reciprocal_rank(ranks).mean()),
        median_rank=float(np.median(ranks)),
        at=tuple(_at(ranks, k) for k in protocol.ks),
        hr_curve=tuple(float(metrics.hit_rate(ranks, k).mean()) for k in steps),
        ndcg_curve=tuple(float(metrics.ndcg(ranks, k).mean()) for k in steps),
        ranks=_rank_histogram(ranks, int(lengths.max())),
        roc=roc,
        scores=scores,
        unanswered=unanswered,
        seconds=seconds,
    )


def _at(ranks: np.ndarray, k: int) -> At:
    hits, gains = metrics.hit_rate(ranks, k), metrics.ndcg(ranks, k)
    return At(
        k=k, hr=float(hits.mean()), ndcg=float(gains.mean()),
        mrr=float(metrics.reciprocal_rank(ranks, k).mean()), precision=float(metrics.precision(ranks, k).mean()),
        recall=float(hits.mean()),
    )


def _rank_histogram(ranks: np.ndarray, longest: int) -> Histogram:
    edges = np.unique(np.linspace(0, longest, min(longest, 25) + 1).round().astype(np.int64))
    counts, _ = np.histogram(ranks, edges + 0.5)
    return Histogram(edges=_plain(edges), counts=_counts(counts))


def _score_spread(labels: np.ndarray, scores: np.ndarray) -> Optional[Scores]:
    known = np.isfinite(scores)
    if not known.any():
        return None
    labels, scores = labels[known], scores[known].astype(np.float64)
    low, high = np.quantile(scores, [0.001, 0.999])
    edges = np.linspace(low, high if high > low else low + 1.0, 41)
    inside = scores.clip(edges[0], edges[-1])
    positives, negatives = (np.histogram(inside[labels == which], edges)[0] for which in (1, 0))
    return Scores(edges=_plain(edges), positives=_counts(positives), negatives=_counts(negatives))


def defined(value: Optional[float]) -> Optional[float]:
    """None for NaN."""
    return None if value is None or np.isnan(value) else float(value)


def _plain(values: np.ndarray) -> Tuple[float, ...]:
    return tuple(round(float(v), 6) for v in values)


def _counts(values: np.ndarray) -> Tuple[int, ...]:
    found: List[int] = values.astype(int).tolist()
    return tuple(found)
