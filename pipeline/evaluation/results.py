"""The result of an evaluation: which questions were asked, and what each model answered. Plain data, JSON on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Literal, Optional, Tuple

import pydantic

from pipeline.evaluation.aspects import Cost, Difference, Ends, Learning, Slice
from pipeline.evaluation.candidates import Draw, Sampler
from pipeline.prepared import Part
from pipeline.seeds import derive
from signatures.errors import UsageError
from signatures.files import write_whole

POPULARITY = "popularity"
"""The baseline's name in every table."""


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Protocol(_Part):
    """How to evaluate. Two figures are comparable only if all of this is equal."""

    negatives: int = pydantic.Field(default=200, ge=1)
    """Others in each sampled list."""
    sampler: Sampler = "uniform"
    popularity_exponent: float = pydantic.Field(default=0.75, ge=0)
    seen_filter: Literal["any part", "none"] = "any part"
    """any part: no item that the user has met in training, validation or test is ever a negative of a sampled list."""
    ks: Tuple[int, ...] = pydantic.Field(default=(1, 5, 10, 20, 50), min_length=1)
    full_ranking: bool = True
    """Besides the sampled lists, rank all items that the user had not met before."""
    ties: Literal["against the model"] = "against the model"
    task_negatives: int = pydantic.Field(default=4, ge=1)
    """Negatives per positive in the figures of a task whose rows are positives only; as in training, ideally."""
    rows: int = pydantic.Field(default=100_000, ge=1)
    """At most so many rows of the part, evenly spaced."""
    seed: int = 1
    resamples: int = pydantic.Field(default=1000, ge=0)
    """Of the users, for the intervals; 0 for none."""

    @property
    def main_k(self) -> int:
        """The k that short tables and summaries speak of: 10 where it is asked for, else the middle one."""
        return 10 if 10 in self.ks else self.ks[len(self.ks) // 2]

    @pydantic.field_validator("ks")
    @classmethod
    def _check_ks(cls, ks: Tuple[int, ...]) -> Tuple[int, ...]:
        if min(ks) < 1 or list(ks) != sorted(set(ks)):
            raise ValueError(f"ks are {list(ks)}; list them in increasing order, each once, from 1 on")
        return ks

    def draw(self, part: Part) -> Draw:
        """Of the sampled lists of a part."""
        return Draw(self.negatives, self.sampler, self.popularity_exponent, derive(self.seed, part, "lists"))

    def task_draw(self, part: Part) -> Draw:
        """Of the negatives of a task whose rows are positives only."""
        return Draw(self.task_negatives, self.sampler, self.popularity_exponent, derive(self.seed, part, "tasks"))


class At(_Part):
    """Means over the lists at one k. There is one positive a list, so recall is the hit rate and precision that / k."""

    k: int
    hr: float
    ndcg: float
    mrr: float
    precision: float
    recall: float


class Histogram(_Part):
    edges: Tuple[float, ...]
    counts: Tuple[int, ...]


class Scores(_Part):
    """How the scores of positives and negatives are spread, over the same edges; what lies beyond is in the ends."""

    edges: Tuple[float, ...]
    positives: Tuple[int, ...]
    negatives: Tuple[int, ...]


class Curve(_Part):
    x: Tuple[float, ...]
    y: Tuple[float, ...]


class Ranking(_Part):
    """How the positives stand in their lists."""

    lists: int
    candidates: float
    """Mean length of a list, its positive included."""
    auc: Optional[float]
    """Pooled over all pairs of all lists, ties half. Not for the full ranking, whose scores are not kept."""
    gauc: Optional[float]
    """AUC per user, weighted by rows; in the full ranking the mean of each list's AUC. Ties half."""
    gauc_groups: int
    gauc_skipped: int
    mrr: float
    median_rank: float
    at: Tuple[At, ...]
    hr_curve: Tuple[float, ...]
    """At k = 1, 2, … up to the largest k."""
    ndcg_curve: Tuple[float, ...]
    ranks: Histogram
    roc: Optional[Curve] = None
    scores: Optional[Scores] = None
    unanswered: int
    """Scores that are NaN; they rank last."""
    seconds: float

    def at_k(self, k: int) -> At:
        """UsageError for a k that the protocol does not have."""
        for at in self.at:
            if at.k == k:
                return at
        raise UsageError(f"k {k} was not evaluated; evaluated are {[at.k for at in self.at]}")


class TaskFigures(_Part):
    """How well one binary task is predicted, row by row."""

    rows: int
    positives: int
    auc: Optional[float]
    gauc: Optional[float]
    """Per user, weighted by rows; None where rows have no user or no user has both classes."""
    gauc_groups: int
    gauc_skipped: int
    log_loss: Optional[float] = None
    """This and what follows: None where the scores are no probabilities."""
    calibration: Optional[float] = None
    """Expected over observed positives."""
    calibration_error: Optional[float] = None
    """Expected calibration error over the bins of `reliability`."""
    reliability: Optional[Curve] = None
    """Mean predicted probability against the share of positives, in bins of equally many rows."""
    roc: Optional[Curve] = None
    unanswered: int


class TaskQuestion(_Part):
    """What a task's figures are about, whoever answers."""

    drawn_negatives: bool
    """The part has positives only, so that negatives were drawn; else labelled rows (where the mask is 1) are used."""
    base_rate: Optional[float]
    """Share of positives in training (with drawn negatives: in the rows themselves)."""
    base_log_loss: Optional[float]
    """Of always predicting the base rate: what a model has to beat."""


class Answer(_Part):
    """One model's row of the table."""

    sampled: Optional[Ranking] = None
    full: Optional[Ranking] = None
    tasks: Dict[str, TaskFigures] = {}
    intervals: Dict[str, Ends] = {}
    """By the names of `flat`."""
    slices: Tuple[Slice, ...] = ()
    cost: Optional[Cost] = None
    learning: Optional[Learning] = None


class Evaluation(_Part):
    """Everything that was found, and everything needed to find it again."""

    dataset: str
    synthetic: bool
    fingerprint: str
    part: Part
    created: str
    """UTC, ISO 8601."""
    protocol: Protocol
    part_rows: int
    rows_evaluated: int
    """Lists of the sampled kind where there are any, else labelled rows."""
    lists_digest: Optional[str]
    """Equal digests: the same lists of the same items."""
    remarks: Tuple[str, ...]
    """What was left out, and why; in sentences."""
    questions: Dict[str, TaskQuestion]
    answers: Dict[str, Answer]
    """By model, in the order asked; popularity first where there is an item to be popular."""
    base: Optional[str] = None
    """The model that the others are compared with."""
    differences: Dict[str, Dict[str, Difference]] = {}
    """Of each other model less the base, by the names of `flat`."""


_AT_K = ("hr", "ndcg", "mrr", "precision", "recall")


def flat(answer: Answer) -> Dict[str, float]:
    """Figures by name, undefined ones left out: auc, gauc, mrr, hr@10, …, full/hr@10, …, TASK/auc, TASK/log_loss, ….

    Plain names are of the sampled lists, or of the first task where nothing is ranked; log_loss and calibration are of
    the first task always.
    """
    found: Dict[str, Optional[float]] = {}
    for name, figures in reversed(list(answer.tasks.items())):
        own = {key: getattr(figures, key) for key in ("auc", "gauc", "log_loss", "calibration", "calibration_error")}
        found.update({f"{name}/{key}": value for key, value in own.items()})
        found.update(own)
    for prefix, ranking in (("full/", answer.full), ("", answer.sampled)):
        if ranking is not None:
            found.update({prefix + key: getattr(ranking, key) for key in ("auc", "gauc", "mrr")})
            for at in ranking.at:
                found.update({f"{prefix}{key}@{at.k}": getattr(at, key) for key in _AT_K})
    return {name: float(value) for name, value in sorted(found.items()) if value is not None}


def save(evaluation: Evaluation, path: Path) -> None:
    """Writes the evaluation as JSON that `load` reads back; a figure that is not defined is null."""
    write_whole(path, evaluation.model_dump_json(indent=1) + "\n")


def load(path: Path) -> Evaluation:
    """Raises UsageError for a file that is not an evaluation."""
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except (OSError, pydantic.ValidationError) as error:
        raise UsageError(f"{path} is no evaluation that can be read; run signet evaluate again") from error
