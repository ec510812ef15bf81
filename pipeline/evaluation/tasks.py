"""How well binary tasks are predicted, row by row: AUC, GAUC, log loss and calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

import numpy as np

from pipeline.evaluation import metrics
from pipeline.evaluation.candidates import Lists
from pipeline.evaluation.ranking import defined, groups_of
from pipeline.evaluation.results import Curve, TaskFigures, TaskQuestion
from pipeline.evaluation.rows import Positives
from pipeline.evaluation.scoring import Predictor
from pipeline.rows import Rows, take
from pipeline.schema import Task


@dataclass(frozen=True)
class Drawn:
    """Positives, each with negatives of its own: tasks of data that has positives only."""

    tasks: Tuple[Task, ...]
    positives: Positives
    lists: Lists


@dataclass(frozen=True)
class Labelled:
    """Rows with labels."""

    tasks: Tuple[Task, ...]
    rows: Rows
    groups: Optional[np.ndarray]
    """[n] int64: the user of each row; None where the data names none."""


@dataclass(frozen=True)
class Predicted:
    """Labels, logits and groups of one task, [n] each."""

    labels: np.ndarray
    logits: np.ndarray
    groups: Optional[np.ndarray]
    """int64: the user of each row; None where the data names none."""

    @property
    def units(self) -> np.ndarray:
        """[n] int64, 0..U-1: the users, or the rows themselves where nobody knows whose they are."""
        return np.arange(len(self.labels)) if self.groups is None else groups_of(self.groups)


def drawn_predictions(predictor: Predictor, drawn: Drawn) -> Dict[str, Predicted]:
    """By task that the predictor answers."""
    lists, users = drawn.lists, drawn.positives.users
    logits = predictor.logits(take(drawn.positives.rows, lists.rows), lists.positions)
    labels = np.zeros(lists.positions.shape, np.int8)
    labels[:, 0] = 1
    groups = np.repeat(groups_of(users[lists.rows]), lists.positions.shape[1])
    return {
        task.name: Predicted(labels.ravel(), logits[task.name].ravel(), groups)
        for task in drawn.tasks
        if task.name in logits
    }


def labelled_predictions(predictor: Predictor, labelled: Labelled) -> Dict[str, Predicted]:
    """By task that the predictor answers, over the rows that the task's mask lets count."""
    logits = predictor.predict(labelled.rows)
    found = {}
    for task in labelled.tasks:
        if task.name not in logits:
            continue
        counts = rows_that_count(labelled.rows, task)
        groups = None if labelled.groups is None else labelled.groups[counts]
        labels = (labelled.rows[task.label][counts] > 0).astype(np.int8)
        found[task.name] = Predicted(labels, logits[task.name][counts], groups)
    return found


def rows_that_count(rows: Rows, task: Task) -> np.ndarray:
    """bool [n]: the task's mask."""
    return np.ones(len(rows[task.label]), bool) if task.mask is None else rows[task.mask] > 0


def question(labels: np.ndarray, base_rate: float, *, drawn_negatives: bool) -> TaskQuestion:
    """What is asked: labels [n] of the rows evaluated, and the share of positives that a model could have learned."""
    possible = 0.0 < base_rate < 1.0 and len(labels) > 0
    loss = None
    if possible:
        loss = metrics.log_loss(labels, np.full(len(labels), np.log(base_rate / (1.0 - base_rate))))
    return TaskQuestion(drawn_negatives=drawn_negatives, base_rate=defined(base_rate), base_log_loss=loss)


def figures(predicted: Predicted, probability: bool) -> TaskFigures:
    """Every figure; those of probabilities only where the logits are meant as such."""
    labels, logits = predicted.labels, predicted.logits
    gauc = metrics.Gauc(float("nan"), 0, 0)
    if predicted.groups is not None:
        gauc = metrics.gauc(labels, logits, predicted.groups)
    both = 0 < int(labels.sum()) < len(labels)
    common = TaskFigures(
        rows=len(labels), positives=int(labels.sum()), auc=defined(metrics.auc(labels, logits)),
        gauc=defined(gauc.value), gauc_groups=gauc.groups, gauc_skipped=gauc.skipped,
        roc=_curve(*metrics.roc(labels, logits)) if both else None, unanswered=int(np.isnan(logits).sum()),
    )
    return common.model_copy(update=_calibration(labels, logits)) if probability else common


def _calibration(labels: np.ndarray, logits: np.ndarray) -> Dict[str, object]:
    predicted = metrics.probabilities(logits)
    curve = metrics.reliability(labels, predicted)
    return {
        "log_loss": defined(metrics.log_loss(labels, logits)),
        "calibration": defined(metrics.calibration_ratio(labels, predicted)),
        "calibration_error": defined(metrics.expected_calibration_error(curve)),
        "reliability": _curve(curve.predicted, curve.observed) if len(curve.rows) else None,
    }


def _curve(x: np.ndarray, y: np.ndarray) -> Curve:
    return Curve(x=tuple(round(float(v), 6) for v in x), y=tuple(round(float(v), 6) for v in y))
