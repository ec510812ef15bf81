"""A study as a list of things to do: one job for each run and seed, each with its data and its own run folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from rich.console import Console

from pipeline import prepared as prepared_data
from pipeline.experiment import Experiment
from pipeline.places import Places
from pipeline.preparation.options import Options
from pipeline.preparation.prepare import prepare
from pipeline.prepared import Prepared
from pipeline.sources import locate
from pipeline.studies import library
from pipeline.studies.form import Preparation
from pipeline.studies.library import Found
from signatures.errors import UsageError


@dataclass(frozen=True)
class Choices:
    """What the command line says on top of a study's file."""

    seeds: Tuple[int, ...]
    dataset: Optional[str] = None
    overrides: Tuple[str, ...] = ()
    restart: bool = False


@dataclass(frozen=True)
class Job:
    """One training and its evaluation."""

    run: str
    seed: int
    experiment: Experiment
    prepared: Prepared
    setting: str
    """The data set and its split, in words: jobs of one setting are asked the same."""
    folder: Path


def plan(found: Found, choices: Choices, places: Places, console: Console) -> List[Job]:
    """All jobs, seed by seed, so that a study stopped half-way has every run once.

    Prepares data that are not prepared yet. Raises UsageError for whatever is wrong in any run, before one is trained.
    """
    overrides = list(choices.overrides)
    made = {
        (run, seed): library.experiment(found, run, seed, overrides)
        for seed in choices.seeds
        for run in found.study.runs
    }
    data = {run: _data(found, run, choices, places, console) for run in found.study.runs}
    _check_tasks(found, [prepared for _, prepared in data.values()])
    return [
        Job(run, seed, experiment, data[run][1], data[run][0], folder(places, data[run][1], experiment))
        for (run, seed), experiment in made.items()
    ]


def folder(places: Places, prepared: Prepared, experiment: Experiment) -> Path:
    """Where this experiment on these data is, whichever study asks for it.

    What is as by default is not in the name, so that a new option does not send every run back to its start.
    """
    content = f"{prepared.facts.fingerprint}\n{experiment.model_dump_json(exclude_defaults=True)}"
    key = hashlib.sha256(content.encode()).hexdigest()[:12]
    return places.runs / prepared.folder.resolve().name / "experiments" / f"{experiment.model}-{key}"


def settings(jobs: List[Job]) -> Dict[str, Prepared]:
    """One prepared data set of each setting: that of its first job."""
    found: Dict[str, Prepared] = {}
    for job in jobs:
        found.setdefault(job.setting, job.prepared)
    return found


def _data(found: Found, run: str, choices: Choices, places: Places, console: Console) -> Tuple[str, Prepared]:
    dataset, preparation = found.study.data_of(found.study.runs[run])
    dataset = choices.dataset or dataset
    words = [f"{key.replace('_', ' ')} {value}" for key, value in preparation.questions.items()]
    prepared = prepared_as(dataset, preparation, places, console)
    return ", ".join([prepared.facts.dataset, *words]), prepared


def _check_tasks(found: Found, data: List[Prepared]) -> None:
    """A figure of a task that no data set has would be missed after hours."""
    tasks = {task.name for prepared in data for task in prepared.schema.tasks}
    for figure in found.study.figures:
        task, slash, _ = figure.rpartition("/")
        if slash and task not in (*tasks, "full"):
            raise UsageError(f"{found.path}: figure {figure!r} is of no task of the data; tasks are {sorted(tasks)}")


def prepared_as(dataset: str, preparation: Preparation, places: Places, console: Console) -> Prepared:
    """A data set by name, or a prepared folder; under a name of its own where it is not prepared as by default."""
    if not preparation.given:
        return places.prepared(dataset, console)
    words = [f"{key.replace('_', '-')}-{value}" for key, value in sorted(preparation.given.items())]
    place = places.data / "-".join([dataset, *words])
    if (place / "facts.json").is_file():
        return prepared_data.load(place)
    if dataset not in locate.NAMES:
        given = ", ".join(f"{key} {value}" for key, value in preparation.given.items())
        raise UsageError(
            f"data set {dataset!r} cannot be prepared with {given}; name one of {', '.join(locate.NAMES)}, "
            f"or prepare it as {place}"
        )
    return prepare(dataset, place, Options(**preparation.given), console)
