"""Which settings are tried: one knob after the other, each from the best setting so far."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Callable, List, Optional, Sequence, Tuple

from serving.tune.setting import ANY, ONE, POWERS, Measured, Setting

WORTH = 1.03
"""Times the rows of no batching that a setting must answer: less is noise, and not worth a second's wait."""


@dataclass(frozen=True)
class Knobs:
    """The values of each knob; the first of each is where the sweep begins."""

    rows: Tuple[int, ...]
    timeouts_micros: Tuple[int, ...]
    threads: Tuple[int, ...]
    allowed: Tuple[str, ...] = (POWERS, ONE, ANY)


def sweep(
    knobs: Knobs, p99_ms: float, measure: Callable[[Optional[Setting]], Measured]
) -> List[Measured]:
    """All that was measured, no batching first. Threads are the outermost: a server must start anew for them."""
    found = [measure(None)]
    for threads in knobs.threads:
        first = Setting(knobs.rows[0], knobs.timeouts_micros[0], threads, knobs.allowed[0])
        here = [measure(first)]
        here += [measure(replace(first, rows=rows)) for rows in knobs.rows[1:]]
        at = _setting(here, p99_ms)
        here += [measure(replace(at, timeout_micros=timeout)) for timeout in knobs.timeouts_micros[1:]]
        at = _setting(here, p99_ms)
        here += [measure(replace(at, allowed=allowed)) for allowed in knobs.allowed[1:]]
        found += here
    return found


def best(found: Sequence[Measured], p99_ms: float) -> Optional[Measured]:
    """The setting with the most rows a second within the target; None where none meets it."""
    meeting = [each for each in found if each.setting is not None and each.meets(p99_ms)]
    return max(meeting, key=lambda each: each.rows_per_second, default=None)


def pays(chosen: Measured, found: Sequence[Measured], p99_ms: float) -> bool:
    """Whether it is better than no batching, by more than chance."""
    plain = next((each for each in found if each.setting is None), None)
    return plain is None or not plain.meets(p99_ms) or chosen.rows_per_second >= WORTH * plain.rows_per_second


def _setting(found: Sequence[Measured], p99_ms: float) -> Setting:
    """Where to go on: the best that meets the target, else the one that comes nearest to it."""
    chosen = best(found, p99_ms) or min(found, key=lambda each: (each.failed, each.p99))
    assert chosen.setting is not None
    return chosen.setting
