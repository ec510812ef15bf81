"""Rounds to medians, quartiles and ratios; and the whole as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from tests.benchmarks.peers.comparisons import Comparison

LEAST_ROUNDS = 9
"""Below that, a median is no measurement to publish."""


@dataclass(frozen=True)
class SideRounds:
    """What one side said, a number a round, in seconds a step."""

    name: str
    seconds: Tuple[float, ...]
    cpu_seconds: Tuple[float, ...]
    values: Tuple[float, ...]
    facts: Dict[str, Any] = field(default_factory=dict)

    @property
    def median_seconds(self) -> float:
        return float(np.median(self.seconds))


@dataclass(frozen=True)
class Result:
    """One comparison. Ratios are the peer's over Signet's, so that above 1 Signet is better."""

    name: str
    title: str
    note: str
    goal: Optional[float]
    peer: SideRounds
    signet: SideRounds
    ratio: float
    """Median of the rounds' ratios."""
    quartiles: Tuple[float, float]
    cpu_ratio: Optional[float]
    """Of the medians of processor time; None for what takes no time."""
    best_ratio: float
    """Of the fastest rounds."""
    rounds: int
    planned: int
    unit: str = "ms"

    @property
    def state(self) -> str:
        """reached, below, or nothing where there is no goal."""
        return "" if self.goal is None else ("reached" if self.ratio >= self.goal else "below")

    @property
    def partial(self) -> bool:
        """Whether it was interrupted, or never had enough rounds."""
        return self.rounds < max(self.planned, 1)


@dataclass(frozen=True)
class Failure:
    """A comparison that could not be measured."""

    name: str
    title: str
    reason: str


@dataclass
class Document:
    """Everything of one run."""

    started: str
    quick: bool
    load: float
    """Processes that wanted to run in the minute before."""
    machine: Dict[str, Any] = field(default_factory=dict)
    versions: Dict[str, Dict[str, str]] = field(default_factory=dict)
    """By environment."""
    limits: Dict[str, float] = field(default_factory=dict)
    results: List[Result] = field(default_factory=list)
    failures: List[Failure] = field(default_factory=list)
    interrupted: bool = False

    def json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"


def result(comparison: Comparison, peer: SideRounds, signet: SideRounds, planned: int) -> Optional[Result]:
    """Of as many rounds as both sides have; None if that is none."""
    rounds = min(len(peer.seconds), len(signet.seconds))
    if rounds == 0:
        return None
    theirs, ours = np.array(peer.seconds[:rounds]), np.array(signet.seconds[:rounds])
    low, middle, high = (float(q) for q in np.quantile(theirs / ours, [0.25, 0.5, 0.75]))
    cpu = float(np.median(peer.cpu_seconds[:rounds])) / max(float(np.median(signet.cpu_seconds[:rounds])), 1e-9)
    return Result(
        name=comparison.name, title=comparison.title, note=comparison.note, goal=comparison.goal, peer=peer,
        signet=signet, ratio=middle, quartiles=(low, high), cpu_ratio=cpu,
        best_ratio=float(theirs.min() / ours.min()), rounds=rounds, planned=planned,
    )


def share_of_limit(side: SideRounds, limits: Dict[str, float]) -> Optional[float]:
    """How near a step is to what the machine allows: its products at their peak and its bytes at the triad's rate, one
    after the other, over its median time. None for a side that has not said what it must do."""
    if not limits or not ("gigaflop" in side.facts or "gigabytes" in side.facts):
        return None
    least = side.facts.get("gigaflop", 0.0) / limits["gemm_gigaflops"]
    least += side.facts.get("gigabytes", 0.0) / limits["triad_gigabytes"]
    return float(least / side.median_seconds)


def parse(content: str) -> Document:
    """A document as `Document.json` writes it. Raises ValueError, KeyError or TypeError for another."""
    found = json.loads(content)
    results = [_result(each) for each in found.pop("results")]
    failures = [Failure(**each) for each in found.pop("failures")]
    return Document(**found, results=results, failures=failures)


def _result(found: Dict[str, Any]) -> Result:
    sides = {side: _side(found.pop(side)) for side in ("peer", "signet")}
    quartiles: Sequence[float] = found.pop("quartiles")
    return Result(**found, peer=sides["peer"], signet=sides["signet"], quartiles=(quartiles[0], quartiles[1]))


def _side(found: Dict[str, Any]) -> SideRounds:
    seconds, cpu_seconds, values = (tuple(found[name]) for name in ("seconds", "cpu_seconds", "values"))
    return SideRounds(found["name"], seconds, cpu_seconds, values, found["facts"])


def merged(before: Document, now: Document) -> Document:
    """`now` with what was measured before of other comparisons, if that was on the same machine with the same versions
    and size. For a run of some comparisons only."""
    if (before.machine, before.versions, before.quick) != (now.machine, now.versions, now.quick):
        return now
    names = {each.name for each in now.results} | {each.name for each in now.failures}
    now.results += [each for each in before.results if each.name not in names]
    now.failures += [each for each in before.failures if each.name not in names]
    return now
