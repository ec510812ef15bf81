"""One canary: loaded beside the stable version, labelled, compared; taken away again when it fails."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Callable, Optional

from serving.canary.asking import ask
from serving.canary.comparing import compare, latencies
from serving.canary.deciding import Limits, decide
from serving.canary.questions import gather
from serving.canary.report import Report
from serving.releases import log, releasing
from serving.releases.config import CANARY, STABLE, State
from serving.releases.errors import ReleaseError
from serving.releases.log import DONE, WHOLE
from serving.releases.moving import Moving, undoing
from serving.releases.releasing import Place
from signatures import manifest
from signatures.errors import UsageError


@dataclass(frozen=True)
class Trial:
    """What a canary is asked, for how long, and what it may differ by."""

    live: Optional[Path] = None
    sample: int = 200
    seed: int = 0
    seconds: float = 10.0
    limits: Limits = Limits()
    allow_breaking: bool = False
    remove: bool = False
    """Take it away when it passes, too."""


def run(place: Place, model: str, version: Optional[int], trial: Trial, reported: Callable[[Report], None]) -> Report:
    """The report of a canary that passed; it then is loaded under the label `canary`, unless it is to be removed.

    `reported` gets the report whatever it says. Raises UsageError, or ReleaseError when the version was refused or
    failed; everything is as it was then.
    """
    with releasing.locked(place.file.path):
        now, export = releasing.look(place, model), releasing.folder(place, model, version)
        number, stable = int(export.name), now.stable
        if number == stable or stable is None:
            raise UsageError(f"version {number} of {model} is what stable requests get already, and a canary is "
                             f"another one; go back first, with: signet promote {model} VERSION")
        old = releasing.folder(place, model, stable)
        writing = releasing.begin(place, log.CANARY, model, number, stable)
        releasing.checked(place, writing, releasing.before_loading(place, model, export, now), trial.allow_breaking)
        moving = Moving(place.file, place.server, writing)
        labels = {**now.state.labels, STABLE: stable, CANARY: number}
        with undoing(moving):
            both = State(frozenset(labels.values()), labels)
            moving.load(both)
            releasing.verify_golden(place, writing, export)
            moving.label(both)
            moving.unload(both)
            report = judge(place, model, old, export, trial)
            reported(report)
            if not report.passed:
                raise ReleaseError(report.verdict())
            writing.write("comparison", DONE, report.told())
            if trial.remove:
                del labels[CANARY]
                moving.label(State(both.versions, labels))
                moving.unload(State(frozenset(labels.values()), labels))
            writing.write(WHOLE, DONE)
        return report


def judge(place: Place, model: str, old: Path, new: Path, trial: Trial) -> Report:
    """Compares two loaded versions, those of these folders. Raises UsageError when there is nothing to ask."""
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    questions = gather(old, new, trial.live, trial.sample, trial.seed)
    versions = (int(old.name), int(new.name))
    asked, taken = ask(place.server.client, model, versions, questions, trial.seconds)
    if not any(each.old is not None for each in asked):
        said = f"version {old.name} refuses all of them: {asked[0].error}" if asked else "there are none"
        raise UsageError(f"no request to compare {model} by ({said}); give some by --requests FILE")
    found = manifest.read(new)
    compared = compare(asked, {name: each.kind for name, each in found.signatures.items()} if found else {})
    times = latencies(taken)
    return Report(
        model, *versions, started, dict(Counter(each.source for each in questions)),
        sum(each.old is None for each in asked), compared, times, decide(asked, compared, *times, trial.limits),
        trial.limits,
    )
