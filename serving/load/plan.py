"""What a load test does: how requests arrive, for how long, within which bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Optional, Union

import numpy as np

from signatures.errors import UsageError

POISSON, CONSTANT = "poisson", "constant"
LARGEST = 10_000_000
"""Requests of one test: every one of them is kept until the end."""
LONGEST = 86_400
"""Seconds."""


@dataclass(frozen=True)
class Open:
    """Requests arrive at a rate, whether or not the server keeps up, as those of many users do.

    A request's latency runs from the moment that it was due, so what a stalled server keeps from being sent counts too.
    """

    rate: float
    """Requests a second."""
    arrivals: str = POISSON
    """poisson: independent of each other, so in clusters; constant: evenly spaced."""
    in_flight: int = 1000
    """At most so many are unanswered at once; the next waits, and its latency runs."""


@dataclass(frozen=True)
class Closed:
    """So many callers, each of whom sends its next request when it has its answer: what can the server do at most?"""

    concurrency: int = 8


@dataclass(frozen=True)
class Plan:
    """One load test. Raises UsageError for values that make no sense."""

    loop: Union[Open, Closed] = Closed()
    seconds: float = 10.0
    """Measured. The test may last two deadlines longer: the last request may wait for its place, then its answer."""
    requests: Optional[int] = None
    """Ends the test before `seconds` are over."""
    warm_up_seconds: float = 2.0
    """Before the measured ones, at the same load."""
    deadline_seconds: float = 10.0
    """Of a request from when it is sent; and what it may wait for its place before it is given up."""
    seed: int = 0
    """Of the arrivals."""

    def __post_init__(self) -> None:
        for name, value in (("seconds", self.seconds), ("deadline", self.deadline_seconds)):
            if not 0 < value <= LONGEST:
                raise UsageError(f"{name} is {value:g}; choose more than 0 and at most {LONGEST:,} seconds")
        if not 0 <= self.warm_up_seconds <= LONGEST:
            raise UsageError(f"warm-up is {self.warm_up_seconds:g}; choose 0 to {LONGEST:,} seconds")
        if self.requests is not None and not 1 <= self.requests <= LARGEST:
            raise UsageError(f"requests is {self.requests}; choose 1 to {LARGEST:,}")
        if isinstance(self.loop, Closed):
            if not 1 <= self.loop.concurrency <= 10_000:
                raise UsageError(f"concurrency is {self.loop.concurrency}; choose 1 to 10,000")
        else:
            self._check_open(self.loop)

    def _check_open(self, loop: Open) -> None:
        whole = self.warm_up_seconds + self.seconds
        if not 0 < loop.rate * whole <= LARGEST:
            raise UsageError(f"rate is {loop.rate:g} a second for {whole:g} s; choose one above 0 that makes at most "
                             f"{LARGEST:,} requests")
        if loop.arrivals not in (POISSON, CONSTANT):
            raise UsageError(f"arrivals is {loop.arrivals!r}; choose {POISSON} or {CONSTANT}")
        if not 1 <= loop.in_flight <= 100_000:
            raise UsageError(f"in-flight is {loop.in_flight}; choose 1 to 100,000")


def due(loop: Open, seconds: float, seed: int) -> Iterator[float]:
    """When each request of an open loop is due, in seconds from the start, ascending, all of them before `seconds`."""
    if loop.arrivals == CONSTANT:
        number = 0
        while number / loop.rate < seconds:
            yield number / loop.rate
            number += 1
        return
    random, now = np.random.default_rng(seed), 0.0
    while True:
        for gap in random.exponential(1 / loop.rate, 1024).tolist():
            now += gap
            if now >= seconds:
                return
            yield now
