"""What a load test found: rates, latencies, failures, and how all of it went over time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from serving.load.plan import Open, Plan
from serving.load.samples import Samples

QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999, 1.0)
_SLICES = 30


@dataclass(frozen=True)
class Latency:
    """Milliseconds, of answered requests only. Each percentile is one of the values (the nearest rank)."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    p999: float
    maximum: float
    curve: Tuple[Tuple[float, float], ...]
    """(quantile, milliseconds), for drawing."""


@dataclass(frozen=True)
class Failure:
    """One kind of error: the name of the client's exception, or NotSent."""

    kind: str
    count: int
    example: str


@dataclass(frozen=True)
class Slice:
    """A piece of the test's time, by when requests were due. Percentiles are None where nothing was answered."""

    second: float
    seconds: float
    answered: int
    failed: int
    p50: Optional[float]
    p99: Optional[float]


@dataclass(frozen=True)
class Result:
    """One load test. Latencies are None where nothing was answered."""

    requests: int
    answered: int
    seconds: float
    """From the end of the warm-up to the last answer."""
    rows: int
    """In the answered requests."""
    failures: Tuple[Failure, ...]
    """The most frequent first."""
    latency: Optional[Latency]
    """From the moment that a request was due; in a closed loop that is when it was sent."""
    service: Optional[Latency]
    """From the moment that it was sent."""
    lag: Optional[Latency]
    """Between the two: how late the generator was, be it busy itself or out of places."""
    timeline: Tuple[Slice, ...]
    offered_per_second: Optional[float]
    """The rate of an open loop."""

    @property
    def requests_per_second(self) -> float:
        """Answered ones."""
        return self.answered / self.seconds if self.seconds > 0 else 0.0

    @property
    def rows_per_second(self) -> float:
        """Answered ones."""
        return self.rows / self.seconds if self.seconds > 0 else 0.0

    def document(self) -> Dict[str, Any]:
        """For JSON."""
        return {
            **asdict(self), "requests_per_second": self.requests_per_second, "rows_per_second": self.rows_per_second,
        }


def summarise(samples: Samples, plan: Plan) -> Result:
    """The figures of all measured requests."""
    due, sent, done, rows, outcome = (
        np.array(column) for column in (samples.due, samples.sent, samples.done, samples.rows, samples.outcome)
    )
    answered = outcome == 0
    return Result(
        requests=len(due),
        answered=int(answered.sum()),
        seconds=float(done.max()) if len(done) else 0.0,
        rows=int(rows.sum()),
        failures=_failures(samples, outcome),
        latency=_latency((done - due)[answered]),
        service=_latency((done - sent)[answered]),
        lag=_latency((sent - due)[answered]),
        timeline=_timeline(due, done, answered),
        offered_per_second=plan.loop.rate if isinstance(plan.loop, Open) else None,
    )


def _latency(seconds: np.ndarray) -> Optional[Latency]:
    if not len(seconds):
        return None
    milliseconds = 1e3 * seconds
    p50, p90, p95, p99, p999, maximum = _quantiles(milliseconds, (0.5, 0.9, 0.95, 0.99, 0.999, 1.0))
    curve = tuple(zip(QUANTILES, _quantiles(milliseconds, QUANTILES)))
    return Latency(float(milliseconds.mean()), p50, p90, p95, p99, p999, maximum, curve)


def _quantiles(values: np.ndarray, wanted: Tuple[float, ...]) -> List[float]:
    found: List[float] = np.quantile(values, wanted, method="inverted_cdf").tolist()
    return found


def _failures(samples: Samples, outcome: np.ndarray) -> Tuple[Failure, ...]:
    counts = np.bincount(outcome, minlength=1 + len(samples.kinds))[1:].tolist()
    found = [Failure(kind, count, samples.examples[kind]) for kind, count in zip(samples.kinds, counts)]
    return tuple(sorted(found, key=lambda failure: -failure.count))


def _timeline(due: np.ndarray, done: np.ndarray, answered: np.ndarray) -> Tuple[Slice, ...]:
    if not len(due):
        return ()
    length = _slice_seconds(float(due.max()))
    place = (due // length).astype(np.int64)
    order = np.argsort(place, kind="stable")
    pieces = np.split(order, np.searchsorted(place[order], np.arange(1, place.max() + 1)))
    return tuple(_slice(number * length, length, piece, (done - due), answered) for number, piece in enumerate(pieces))


def _slice_seconds(longest: float) -> float:
    """The shortest round length that needs no more slices than may be drawn."""
    lengths = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
    return next((length for length in lengths if longest / length < _SLICES), longest / (_SLICES - 1))


def _slice(second: float, length: float, piece: np.ndarray, latency: np.ndarray, answered: np.ndarray) -> Slice:
    good = piece[answered[piece]]
    p50, p99 = _quantiles(1e3 * latency[good], (0.5, 0.99)) if len(good) else (None, None)
    return Slice(float(second), length, len(good), len(piece) - len(good), p50, p99)
