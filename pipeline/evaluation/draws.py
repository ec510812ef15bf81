"""Every figure of an answer in each resample of the users, by the names of `results.flat`."""

from __future__ import annotations

from typing import Dict

import numpy as np

from pipeline.evaluation import bootstrap, metrics
from pipeline.evaluation.bootstrap import Draws, Resamples
from pipeline.evaluation.ranking import FullRanks, SampledScores
from pipeline.evaluation.results import Protocol
from pipeline.evaluation.tasks import Predicted
from pipeline.seeds import derive


def resamples(units: np.ndarray, protocol: Protocol) -> Resamples:
    """Of the users `units` [n], 0..U-1: the same for all who are asked the same."""
    return Resamples(int(units.max(initial=-1)) + 1, protocol.resamples, derive(protocol.seed, "resamples"))


def of_lists(found: SampledScores, protocol: Protocol) -> Draws:
    """auc, gauc, mrr, hr@k and ndcg@k of the sampled lists."""
    drawn = resamples(found.groups, protocol)
    labels, scores = found.labels.ravel(), found.scores.ravel()
    units = np.repeat(found.groups, found.scores.shape[1])
    pooled = bootstrap.pooled_auc(labels, scores, units, drawn)
    return {"auc": pooled, "gauc": _gauc(labels, scores, units, drawn), **_at_k(found.ranks, found.groups, protocol)}


def of_everything(found: FullRanks, protocol: Protocol) -> Draws:
    """full/gauc, full/mrr, full/hr@k and full/ndcg@k."""
    drawn, known = resamples(found.groups, protocol), ~np.isnan(found.areas)
    own = {"gauc": bootstrap.means(found.areas[known], found.groups[known], drawn)}
    own.update(_at_k(found.ranks, found.groups, protocol))
    return {f"full/{name}": draws for name, draws in own.items()}


def of_tasks(predictions: Dict[str, Predicted], probability: bool, protocol: Protocol) -> Draws:
    """TASK/auc, TASK/gauc and TASK/log_loss; those of the first task by their plain names too."""
    found: Draws = {}
    for name, predicted in reversed(list(predictions.items())):
        units = predicted.units
        drawn = resamples(units, protocol)
        own = {"auc": bootstrap.pooled_auc(predicted.labels, predicted.logits, units, drawn)}
        if predicted.groups is not None:
            own["gauc"] = _gauc(predicted.labels, predicted.logits, units, drawn)
        if probability:
            own["log_loss"] = bootstrap.means(metrics.log_losses(predicted.labels, predicted.logits), units, drawn)
        found.update({f"{name}/{key}": draws for key, draws in own.items()})
        found.update(own)
    return found


def _at_k(ranks: np.ndarray, units: np.ndarray, protocol: Protocol) -> Draws:
    values = {"mrr": metrics.reciprocal_rank(ranks)}
    for k in protocol.ks:
        values.update({f"hr@{k}": metrics.hit_rate(ranks, k), f"ndcg@{k}": metrics.ndcg(ranks, k)})
    drawn = bootstrap.means(np.stack(list(values.values()), axis=1), units, resamples(units, protocol))
    return dict(zip(values, drawn.T))


def _gauc(labels: np.ndarray, scores: np.ndarray, units: np.ndarray, drawn: Resamples) -> np.ndarray:
    areas, rows = metrics.group_areas(labels, scores, units)
    known = ~np.isnan(areas)
    weights = np.where(known, rows, 0).astype(np.float64)
    sums = np.where(known, areas, 0.0) * weights
    return bootstrap.ratios(sums[:, np.newaxis], weights, drawn)[:, 0]
