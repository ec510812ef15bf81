"""Whether the new version may go on: each figure against its limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Sequence

from serving.canary.asking import Asked
from serving.canary.comparing import Compared, Latency

_FEWEST_TIMED = 20
"""Requests of each version, before a 95th percentile means anything."""


@dataclass(frozen=True)
class Limits:
    """How far apart the versions may be. The defaults are for a model trained anew; tighten them for the same model."""

    difference: float = 1.0
    """Of the scores: the mean difference, by the standard deviation of the old ones."""
    order: float = 0.7
    """Of pairs in the same order, at least."""
    overlap: float = 0.2
    """Of items found by both, at least."""
    slower: float = 1.5
    """Times the old p50 and p95, at most."""
    slack_ms: float = 1.0
    """What latency may grow by in any case: of small numbers a ratio says little."""


@dataclass(frozen=True)
class Criterion:
    """One figure. passed: None where it could not be taken."""

    name: str
    place: str
    passed: Optional[bool]
    value: str
    limit: str


def decide(
    asked: Sequence[Asked], compared: Sequence[Compared], old: Optional[Latency], new: Optional[Latency], limits: Limits
) -> List[Criterion]:
    """Every criterion; the version passes when none of them fails."""
    return [_answers(asked), *(found for each in compared for found in _output(each, limits)),
            *_latency(old, new, limits)]


def passed(found: Sequence[Criterion]) -> bool:
    """Nothing failed."""
    return all(each.passed is not False for each in found)


def _answers(asked: Sequence[Asked]) -> Criterion:
    """What the old version answers, the new one must; what the old one refuses says nothing."""
    failed = [each for each in asked if each.old is not None and each.new is None]
    told = f"{len(failed)} of {sum(each.old is not None for each in asked)} refused"
    return Criterion("answers", failed[0].question.signature if failed else "all", not failed,
                     f"{told}: {failed[0].error}" if failed else told, "0 refused")


def _output(each: Compared, limits: Limits) -> List[Criterion]:
    found = [
        Criterion("shape and type", each.place, not each.shapes, f"{each.shapes} of {each.requests} differ", "0"),
        Criterion("NaN or infinite", each.place, not each.not_finite, f"{each.not_finite} of {each.cells}", "0"),
    ]
    if each.relative is not None:
        found.append(Criterion("difference", each.place, each.relative <= limits.difference,
                               f"{each.relative:.3g} (mean {each.mean:.3g}, largest {each.largest:.3g})",
                               f"at most {limits.difference:g} standard deviations"))
    if each.order is not None:
        found.append(Criterion("order", each.place, each.order >= limits.order, f"{each.order:.3f}",
                               f"at least {limits.order:g} of pairs"))
    if each.overlap is not None:
        found.append(Criterion("overlap", each.place, each.overlap >= limits.overlap, f"{each.overlap:.3f}",
                               f"at least {limits.overlap:g}"))
    return found


def _latency(old: Optional[Latency], new: Optional[Latency], limits: Limits) -> List[Criterion]:
    if old is None or new is None or min(old.requests, new.requests) < _FEWEST_TIMED:
        return [Criterion("latency", "all", None, "too few requests", f"{_FEWEST_TIMED} requests")]
    found = []
    for name in ("p50", "p95"):
        before, after = getattr(old, name), getattr(new, name)
        allowed = limits.slower * before + limits.slack_ms
        found.append(Criterion(f"latency {name}", "all", after <= allowed, f"{after:.3g} ms, was {before:.3g} ms",
                               f"at most {allowed:.3g} ms"))
    return found
