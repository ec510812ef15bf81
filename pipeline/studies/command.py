"""`signet experiment`: lists the studies, or reproduces one and writes its page."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import typer
from rich.console import Console

from pipeline.export import commit
from pipeline.places import Places
from pipeline.studies import collect, jobs, page, record, show
from pipeline.studies.collect import Everything
from pipeline.studies.jobs import Choices, Job
from pipeline.studies.library import Found
from pipeline.studies.outcome import Result
from pipeline.studies.work import Baseline, Desk, Done, Stopped, baseline, do, names_of_baselines
from signatures.errors import UsageError
from signatures.files import write_whole


def run(found: Found, choices: Choices, places: Places, reports: Path, recorded: bool) -> Result:
    """Trains and evaluates what is missing, prints the tables, and writes REPORTS/NAME.json and REPORTS/NAME.html.

    Exit code 130 when it was interrupted: the same command goes on. Raises UsageError for what a person can mend.
    """
    console = Console()
    if recorded:
        record.check(found, choices)
    planned = jobs.plan(found, choices, places, Console(stderr=True))
    everything = _everything(found, choices, planned, places, console)
    result = collect.result(everything, command(found, choices), commit())
    show.tables(found.study, result, console)
    for warning in show.warnings(everything):
        console.print(warning, style="yellow")
    write_whole(reports / f"{found.name}.json", result.model_dump_json(indent=1) + "\n")
    write_whole(reports / f"{found.name}.html", page.html(everything, result))
    console.print(f"written: {reports / found.name}.json and .html", soft_wrap=True)
    if recorded:
        record.write(found, result)
        console.print(f"recorded in {found.path}", soft_wrap=True)
    return result


def command(found: Found, choices: Choices) -> str:
    """What reproduces it."""
    words = ["signet", "experiment", found.name]
    if choices.seeds != found.study.seeds:
        words += ["--seeds", ",".join(map(str, choices.seeds))]
    if choices.dataset is not None and choices.dataset != found.study.dataset:
        words += ["--dataset", Path(choices.dataset).name]
    for override in choices.overrides:
        words += ["--set", override]
    return shlex.join(words)


def _everything(found: Found, choices: Choices, planned: List[Job], places: Places, console: Console) -> Everything:
    desk = Desk(found.study, console)
    settings = jobs.settings(planned)
    baselines: Dict[str, List[Baseline]] = {setting: [] for setting in settings}
    for called, name, setting in names_of_baselines(found.study, list(settings)):
        answered = baseline(name, settings[setting], desk, places)
        baselines[setting].append(Baseline(called, answered, desk.digest(settings[setting])))
    done = [_job(job, number, len(planned), desk, choices) for number, job in enumerate(planned, 1)]
    evaluations = {
        setting: desk.evaluation(settings[setting], baselines[setting], [d for d in done if d.job.setting == setting])
        for setting in settings
    }
    every = tuple(each for own in baselines.values() for each in own)
    return Everything(found.study, choices.seeds, tuple(done), every, evaluations)


def _job(job: Job, number: int, count: int, desk: Desk, choices: Choices) -> Done:
    title = f"{number} of {count}: {job.run}, seed {job.seed}"
    desk.console.print(f"[bold]{title}[/] {job.folder}", soft_wrap=True, highlight=False)
    try:
        return do(job, desk, choices.restart)
    except Stopped as stopped:
        desk.console.print("interrupted; the same command goes on")
        raise typer.Exit(130) from stopped


def seeds(given: Optional[str], found: Found) -> Tuple[int, ...]:
    """`1,2,3` as numbers; the file's own where nothing is given. Raises UsageError for anything else."""
    if given is None:
        return found.study.seeds
    numbers = tuple(int(word) for word in given.split(",")) if re.fullmatch(r"\d+(,\d+)*", given) else ()
    if not numbers or len(set(numbers)) < len(numbers):
        raise UsageError(f"option --seeds is {given!r}; write different whole numbers, such as 1,2,3")
    return numbers
