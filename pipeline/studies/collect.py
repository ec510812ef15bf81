"""From the answers of all runs and seeds to one result: means, spreads, intervals, paired differences, costs."""

from __future__ import annotations

import math
import os
import platform
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from pipeline.evaluation import bootstrap
from pipeline.evaluation.evaluate import Answered
from pipeline.evaluation.results import Evaluation, flat
from pipeline.studies.form import Study, label, lower_is_better
from pipeline.studies.outcome import Result, RunResult, Spread, rounded, spread
from pipeline.studies.work import Baseline, Done
from signatures.errors import UsageError


@dataclass(frozen=True)
class Everything:
    """All that was done for a study."""

    study: Study
    seeds: Tuple[int, ...]
    done: Tuple[Done, ...]
    baselines: Tuple[Baseline, ...]
    evaluations: Dict[str, Evaluation]
    """Of the baselines and the runs' first seed, by setting."""

    def of(self, run: str) -> List[Done]:
        """One each seed, in order."""
        return [each for seed in self.seeds for each in self.done if each.job.run == run and each.job.seed == seed]


def result(everything: Everything, command: str, commit: str) -> Result:
    """Raises UsageError for a figure that no run has, and for a difference of runs that were asked different things."""
    study = everything.study
    _check_figures(everything)
    done = everything.done
    runs = {run: _run(study, everything.of(run)) for run in study.runs}
    return Result(
        command=command,
        date=datetime.now(timezone.utc).date().isoformat(),
        versions={
            "signet": metadata.version("signet-recommenders"), "commit": commit, "python": platform.python_version(),
            "tensorflow": metadata.version("tensorflow"),
        },
        machine=f"{os.cpu_count()} cores, {platform.machine()}",
        data={each.job.prepared.folder.resolve().name: each.job.prepared.facts.fingerprint for each in done},
        lists={each.job.setting: each.digest for each in done},
        seeds=everything.seeds,
        cpu_seconds=rounded(math.fsum(each.state.cpu_seconds for each in done)),
        wall_minutes=rounded(math.fsum(each.state.wall_seconds for each in done) / 60),
        chosen=chosen(study, runs),
        runs=runs,
        baselines={each.name: _asked_for(study, flat(each.answered.answer)) for each in everything.baselines},
        differences={label(*pair): difference(everything, *pair) for pair in study.differences},
    )


def chosen(study: Study, runs: Mapping[str, RunResult]) -> Optional[str]:
    """The run that is best on the validation part; None where there is no choice, or no run has the figure."""
    figure = study.chooser
    known = {name: run.validation[figure].mean for name, run in runs.items() if figure in run.validation}
    if len(known) < 2:
        return None
    sign = 1.0 if lower_is_better(figure) else -1.0
    return min(known, key=lambda name: sign * known[name])


def difference(everything: Everything, one: str, other: str) -> Dict[str, Spread]:
    """One run less the other by figure: each seed with the same seed, each resample of users with the same."""
    mine, theirs = (_answers(everything, name) for name in (one, other))
    if {digest for _, digest in mine} != {digest for _, digest in theirs}:
        raise UsageError(f"difference {label(one, other)!r}: the two were asked different rows; give both one split")
    found = {}
    for figure in everything.study.figures:
        pairs = [(m, t) for (m, _), (t, _) in zip(mine, theirs)]
        if all(figure in flat(each.answer) for pair in pairs for each in pair):
            values = [flat(m.answer)[figure] - flat(t.answer)[figure] for m, t in pairs]
            drawn = [m.draws[figure] - t.draws[figure] for m, t in pairs if figure in m.draws and figure in t.draws]
            found[figure] = spread(values, mean_interval(drawn))
    return found


def mean_interval(draws: Sequence[np.ndarray]) -> Optional[Tuple[float, float]]:
    """Of the mean over the seeds, of which each had the same resamples of users."""
    return bootstrap.interval(np.mean(np.stack(draws), axis=0)) if draws else None


def _run(study: Study, done: List[Done]) -> RunResult:
    costs = [each.answers["test"].answer.cost for each in done]
    known = [cost for cost in costs if cost is not None]
    times = [cost.rank_milliseconds for cost in known if cost.rank_milliseconds is not None]
    return RunResult(
        figures=_spreads(study.figures, [each.answers["test"] for each in done], intervals=True),
        validation=_spreads(
            tuple(dict.fromkeys((*study.figures, study.chooser))), [each.answers["validation"] for each in done]
        ),
        parameters=known[0].parameters,
        variable_bytes=known[0].variable_bytes,
        cpu_seconds=rounded(math.fsum(each.state.cpu_seconds for each in done) / len(done)),
        wall_seconds=rounded(math.fsum(each.state.wall_seconds for each in done) / len(done)),
        rank_milliseconds=rounded(float(np.median(times))) if times else None,
    )


def _spreads(figures: Sequence[str], answers: List[Answered], intervals: bool = False) -> Dict[str, Spread]:
    found = {}
    for figure in figures:
        values = [flat(each.answer)[figure] for each in answers if figure in flat(each.answer)]
        if len(values) == len(answers):
            drawn = [each.draws[figure] for each in answers if figure in each.draws]
            found[figure] = spread(values, mean_interval(drawn) if intervals else None)
    return found


def _answers(everything: Everything, name: str) -> List[Tuple[Answered, str]]:
    """Of a run, one a seed; of a baseline, the same for each."""
    for baseline in everything.baselines:
        if baseline.name == name:
            return [(baseline.answered, baseline.digest)] * len(everything.seeds)
    return [(each.answers["test"], each.digest) for each in everything.of(name)]


def _asked_for(study: Study, figures: Mapping[str, float]) -> Dict[str, float]:
    return {name: rounded(figures[name]) for name in study.figures if name in figures}


def _check_figures(everything: Everything) -> None:
    known = {name for each in everything.done for name in flat(each.answers["test"].answer)}
    for figure in everything.study.figures:
        if figure not in known:
            raise UsageError(f"figure {figure!r} is none that a run has; choose of {', '.join(sorted(known))}")
