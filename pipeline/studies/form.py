"""A study's file: a question, the runs that answer it, and what they answered. Strict: an unknown key is an error.

    title: Lengths of history
    question: How much of a user's past does a model need?
    dataset: ml-100k
    runs:
      din 20: {model: din, prepare: {maximum_history: 20}}
      din wide: {model: din, set: {parameters.hidden_units: [512, 256]}}
    figures: [auc, hr@10]
    result: …                                             # written by signet experiment NAME --record
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Optional, Tuple

import pydantic

from pipeline.baselines import registry as baselines
from pipeline.evaluation.results import Protocol
from pipeline.models import registry as models
from pipeline.preparation.splits import Kind
from pipeline.studies.outcome import Result
from signatures.errors import UsageError

FROM_THE_STUDY = ("model", "seed")
"""Keys of an experiment that a run's `set` may not change."""
_FIGURE = re.compile(
    r"(full/)?(gauc|mrr|(hr|ndcg|mrr|precision|recall)@[1-9][0-9]*)|auc|"
    r"([A-Za-z_]\w*/)?(auc|gauc|log_loss|calibration|calibration_error)"
)


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Preparation(_Part):
    """How the data set is prepared, where not as by default; see `pipeline.preparation.options`."""

    maximum_history: Optional[int] = pydantic.Field(None, ge=1)
    split: Optional[Kind] = None
    validation_fraction: Optional[float] = pydantic.Field(None, gt=0, lt=1)
    test_fraction: Optional[float] = pydantic.Field(None, gt=0, lt=1)
    seed: Optional[int] = pydantic.Field(None, ge=0)

    @property
    def given(self) -> Dict[str, Any]:
        """What is not as by default."""
        return self.model_dump(exclude_none=True)

    @property
    def questions(self) -> Dict[str, Any]:
        """What of it decides the rows of each part: a longer history asks the same questions."""
        return self.model_dump(exclude_none=True, exclude={"maximum_history"})


class Run(_Part):
    """One way to train, over all seeds."""

    model: str
    file: Optional[str] = None
    """Experiment file beside the study's; the model's own unless given."""
    set: Dict[str, Any] = {}
    """Overrides on top of the file, {dotted key: value}."""
    dataset: Optional[str] = None
    """The study's unless given."""
    prepare: Preparation = Preparation()
    """On top of the study's."""

    @pydantic.field_validator("model")
    @classmethod
    def _check_model(cls, model: str) -> str:
        return _known(models.check, model)

    @pydantic.field_validator("set")
    @classmethod
    def _check_set(cls, settings: Dict[str, Any]) -> Dict[str, Any]:
        for key in settings:
            if key in FROM_THE_STUDY:
                raise ValueError(f"{key!r} cannot be set here; a run has its own key model, the study has seeds")
        return settings


class Study(_Part):
    """Everything but the code that decides what comes out."""

    title: str
    question: str
    """One sentence."""
    dataset: str = "ml-100k"
    prepare: Preparation = Preparation()
    seeds: Tuple[int, ...] = pydantic.Field((1, 2, 3), min_length=1)
    runs: Dict[str, Run] = pydantic.Field(min_length=1)
    baselines: Tuple[str, ...] = ("popularity",)
    figures: Tuple[str, ...] = pydantic.Field(("auc", "hr@10", "ndcg@10"), min_length=1)
    """By the names of `pipeline.evaluation.results.flat`; `full/…` of the full ranking, `TASK/…` of a task."""
    chosen_by: Optional[str] = None
    """The figure on the validation part that says which run is best; the first of the figures unless given."""
    protocol: Protocol = Protocol(full_ranking=False)
    """The full ranking is asked for where a figure is of it."""
    differences: Tuple[Tuple[str, str], ...] = ()
    """Pairs of runs, the second taken from the first, seed by seed."""
    goals: Dict[str, Dict[str, float]] = {}
    """{run, or "one - other": {figure: what it should reach}}."""
    result: Optional[Result] = None

    @pydantic.field_validator("seeds")
    @classmethod
    def _check_seeds(cls, seeds: Tuple[int, ...]) -> Tuple[int, ...]:
        if len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise ValueError(f"seeds are {list(seeds)}; list different whole numbers from 0 on")
        return seeds

    @pydantic.field_validator("baselines")
    @classmethod
    def _check_baselines(cls, names: Tuple[str, ...]) -> Tuple[str, ...]:
        return tuple(_known(baselines.check, name) for name in names)

    @pydantic.field_validator("figures", "chosen_by")
    @classmethod
    def _check_figures(cls, given: Any) -> Any:
        for figure in (given,) if isinstance(given, str) else given or ():
            if not _FIGURE.fullmatch(figure):
                raise ValueError(f"figure {figure!r} is unknown; write such as auc, hr@10, full/ndcg@10, like/log_loss")
        return given

    @pydantic.model_validator(mode="after")
    def _check_names(self) -> Study:
        for name in self.runs:
            if name in baselines.NAMES or not name.strip():
                raise ValueError(f"run {name!r} has the name of a baseline, or none; rename it")
        for pair in self.differences:
            for name in pair:
                if name not in (*self.runs, *self.baselines):
                    raise ValueError(f"differences name {name!r}, which is no run; choose of {', '.join(self.runs)}")
        for subject, goals in self.goals.items():
            if subject not in (*self.runs, *(label(*pair) for pair in self.differences)):
                raise ValueError(f"goals name {subject!r}, which is neither a run nor one of the differences")
            for figure in goals:
                if figure not in self.figures:
                    raise ValueError(f"goal {figure!r} of {subject!r} is none of the figures {', '.join(self.figures)}")
        return self

    def data_of(self, run: Run) -> Tuple[str, Preparation]:
        """The data set of a run, and how it is prepared."""
        given = {**self.prepare.given, **run.prepare.given}
        return run.dataset or self.dataset, Preparation.model_validate(given)

    @property
    def asked(self) -> Protocol:
        """The protocol, with what the figures need."""
        ks = {int(figure.rpartition("@")[2]) for figure in self.figures if figure.rpartition("@")[2].isdigit()}
        full = self.protocol.full_ranking or any(figure.startswith("full/") for figure in self.figures)
        return self.protocol.model_copy(
            update={"full_ranking": full, "ks": tuple(sorted({*self.protocol.ks, *ks}))}
        )

    @property
    def outdated(self) -> bool:
        """Whether the recorded result is of other runs, seeds, figures or differences than the file asks for."""
        if self.result is None:
            return False
        figures = {name for run in self.result.runs.values() for name in run.figures}
        pairs = [label(*pair) for pair in self.differences]
        return (
            list(self.result.runs) != list(self.runs)
            or self.result.seeds != self.seeds
            or figures != set(self.figures)
            or list(self.result.differences) != pairs
        )

    @property
    def chooser(self) -> str:
        """The figure on the validation part that says which run is best."""
        return self.chosen_by or self.figures[0]


def label(one: str, other: str) -> str:
    """What a difference is called."""
    return f"{one} - {other}"


def lower_is_better(figure: str) -> bool:
    return figure.rpartition("/")[2] in ("log_loss", "calibration_error")


def _known(check: Any, name: str) -> str:
    try:
        check(name)
    except UsageError as error:
        raise ValueError(str(error)) from error
    return name


def overrides(settings: Dict[str, Any]) -> List[str]:
    """A run's `set` in words, for people."""
    return [f"{key}={value}" for key, value in settings.items()]
