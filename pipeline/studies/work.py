"""Does the jobs of a study: trains what is not trained, evaluates what is not evaluated, and keeps both."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

import tf_keras as keras
from rich.console import Console

from pipeline import training
from pipeline.baselines import registry as baselines
from pipeline.builder import Built
from pipeline.checkpoints import RunState, state_of, writing
from pipeline.evaluation import cost, evaluate
from pipeline.evaluation.evaluate import Answered, Asked
from pipeline.evaluation.results import Evaluation, Protocol
from pipeline.places import Places
from pipeline.prepared import Part, Prepared
from pipeline.studies import code, kept
from pipeline.studies.form import Study
from pipeline.studies.jobs import Job
from pipeline.verbs import scorer, validator
from signatures.errors import UsageError

PARTS: Tuple[Part, ...] = ("validation", "test")


class Stopped(Exception):
    """Ctrl-C during a training; what it had is in its checkpoint."""


@dataclass(frozen=True)
class Done:
    """A job with what came of it."""

    job: Job
    state: RunState
    answers: Dict[Part, Answered]
    digest: str
    """Of what it was asked on the test part."""
    other_code: bool
    """Whether its training, or a part of it, was done by other code than is here now."""


@dataclass(frozen=True)
class Baseline:
    """A baseline's answer."""

    name: str
    """What it is called in tables."""
    answered: Answered
    digest: str
    """Of what it was asked on the test part."""


@dataclass
class Desk:
    """What is asked, drawn once for each prepared folder and part."""

    study: Study
    console: Console
    _asked: Dict[Tuple[str, Part], Asked] = field(default_factory=dict)

    def protocol(self, part: Part) -> Protocol:
        """The study's on the test part; on validation only as much as choosing needs."""
        if part == "test":
            return self.study.asked
        full = self.study.chooser.startswith("full/")
        return self.study.asked.model_copy(update={"full_ranking": full})

    def asked(self, prepared: Prepared, part: Part) -> Asked:
        place = (str(prepared.folder.resolve()), part)
        if place not in self._asked:
            self._asked[place] = evaluate.ask_all(prepared, part, self.protocol(part))
        return self._asked[place]

    def digest(self, prepared: Prepared) -> str:
        """Of what is asked on the test part."""
        return self.asked(prepared, "test").questions.digest

    def evaluation(self, prepared: Prepared, baselines: List[Baseline], done: List[Done]) -> Evaluation:
        """Of the baselines and the first seed of each run, in the form that the curves are drawn from."""
        answers = {each.name: each.answered for each in baselines}
        for each in done:
            answers.setdefault(each.job.run, each.answers["test"])
        return evaluate.result(prepared, "test", self.asked(prepared, "test"), answers)

    def key(self, prepared: Prepared, part: Part, what: str) -> str:
        """Of everything that decides an answer."""
        protocol = self.protocol(part).model_dump_json()
        content = "\n".join([prepared.facts.fingerprint, protocol, code.of_evaluation(), what])
        return hashlib.sha256(content.encode()).hexdigest()


def do(job: Job, desk: Desk, restart: bool) -> Done:
    """Trains and evaluates, or takes what is kept. Raises Stopped when training was interrupted."""
    built = _train(job, restart)
    state = state_of(job.folder)
    if state is None:
        raise UsageError(f"run {job.folder} has no checkpoint; add --restart")
    answers: Dict[Part, Answered] = {}
    for part in PARTS:
        key = desk.key(job.prepared, part, f"{training.best_time(job.folder)}")
        found = kept.load(job.folder, part, key)
        if found is None:
            built = built or training.restore(job.experiment, job.prepared, job.folder)
            found = _evaluate(job, built, state, desk, part)
            kept.save(job.folder, part, key, found)
        answers[part] = found
    other = code.known(job.folder) != [code.of_training(job.experiment.model)]
    return Done(job, state, answers, desk.digest(job.prepared), other)


def baseline(name: str, prepared: Prepared, desk: Desk, places: Places) -> Answered:
    """A baseline's answer on the test part."""
    folder = places.runs / prepared.folder.resolve().name / "experiments" / f"baseline-{name}"
    key = desk.key(prepared, "test", code.of_baseline(name))
    found = kept.load(folder, "test", key)
    if found is None:
        with desk.console.status(f"{name}: fitting") as status:
            scores = baselines.load(name)(prepared)
            found = evaluate.answer(name, scores, desk.asked(prepared, "test"), status.update)
        kept.save(folder, "test", key, found)
    return found


def _train(job: Job, restart: bool) -> Optional[Built]:
    """The trained model, or None where it was trained before."""
    if restart:
        shutil.rmtree(job.folder, ignore_errors=True)
    training.claim(job.folder, job.experiment, job.prepared)
    state = state_of(job.folder)
    if state is not None and state.finished:
        return None
    keras.backend.clear_session()  # of the run before, whose graphs would stay for good
    with writing(job.folder):
        code.remember(job.folder, code.of_training(job.experiment.model))
    trained = training.train(job.experiment, job.prepared, job.folder, lambda built: validator(built, job.prepared))
    if trained.interrupted:
        raise Stopped
    return trained.built


def _evaluate(job: Job, built: Built, state: RunState, desk: Desk, part: Part) -> Answered:
    with desk.console.status(f"{job.run}: evaluating") as status:
        asked = desk.asked(job.prepared, part)
        found = evaluate.answer(job.run, scorer(built, job.prepared), asked, status.update)
        if part != "test":
            return found
        more = {
            "cost": cost.of_model(built, job.prepared, state),
            "learning": cost.learning(state, job.experiment.training.monitor),
        }
        return Answered(found.answer.model_copy(update=more), found.draws)


def names_of_baselines(study: Study, settings: List[str]) -> List[Tuple[str, str, str]]:
    """(what it is called, baseline, setting): the setting is said where there are several."""
    return [
        (name if len(settings) == 1 else f"{name} ({setting})", name, setting)
        for setting in settings
        for name in study.baselines
    ]
