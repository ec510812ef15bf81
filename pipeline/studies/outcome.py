"""What a study found, as it is written into its file: figures by run and seed, what they took, how to repeat them."""

from __future__ import annotations

import math
from typing import Dict, Optional, Sequence, Tuple

import pydantic

from pipeline.evaluation.aspects import Ends


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Spread(_Part):
    """One figure over the seeds."""

    mean: float
    spread: float
    """Standard deviation over the seeds, of n - 1; 0 for one seed."""
    interval: Optional[Ends] = None
    """95 % bootstrap over users, of the mean over the seeds; None for what is not of the test part."""
    seeds: Tuple[float, ...]
    """One each, in the study's order."""


class RunResult(_Part):
    """One run over the seeds. Costs are of one training: the mean over the seeds."""

    figures: Dict[str, Spread]
    """On the test part."""
    validation: Dict[str, Spread]
    """On the validation part, which alone chooses."""
    parameters: int
    variable_bytes: int
    cpu_seconds: float
    wall_seconds: float
    rank_milliseconds: Optional[float] = None


class Result(_Part):
    """Everything that came out."""

    command: str
    date: str
    """UTC, of the last evaluation."""
    versions: Dict[str, str]
    machine: str
    data: Dict[str, str]
    """Fingerprint of each prepared folder."""
    lists: Dict[str, str]
    """Digest of the lists asked, by data set; two runs with the same were asked the same."""
    seeds: Tuple[int, ...]
    cpu_seconds: float
    """Of all trainings together."""
    wall_minutes: float
    """Likewise."""
    chosen: Optional[str] = None
    """The run that is best on the validation part."""
    runs: Dict[str, RunResult]
    baselines: Dict[str, Dict[str, float]] = {}
    differences: Dict[str, Dict[str, Spread]] = {}


def spread(values: Sequence[float], interval: Optional[Ends] = None) -> Spread:
    """Mean and standard deviation; six significant digits, as nobody reads more in a file."""
    mean = math.fsum(values) / len(values)
    deviation = 0.0
    if len(values) > 1:
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    ends = None if interval is None else (rounded(interval[0]), rounded(interval[1]))
    return Spread(
        mean=rounded(mean), spread=rounded(deviation), interval=ends, seeds=tuple(rounded(value) for value in values)
    )


def rounded(value: float) -> float:
    return float(f"{value:.6g}")
