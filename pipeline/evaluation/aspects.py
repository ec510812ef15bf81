"""What an evaluation tells of a model besides its figures: for whom they hold, how it learned, and what it takes."""

from __future__ import annotations

from typing import Dict, Optional, Tuple

import pydantic


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


Ends = Tuple[float, float]
"""Of an interval: 95 % of the resamples of the users lie between them."""


class Slice(_Part):
    """Figures of some of the lists, or of some labelled rows where nothing is ranked."""

    by: str
    name: str
    rows: int
    """Lists, or labelled rows."""
    figures: Dict[str, float]
    """auc (pooled), and hr@k and ndcg@k of lists."""
    intervals: Dict[str, Ends] = {}


class Cost(_Part):
    """What a model takes; None where it was not measured."""

    parameters: int
    """Numbers that are trained."""
    variable_bytes: int
    """Of all variables that an export holds; no optimizer's."""
    wall_seconds: Optional[float] = None
    """Of training, with the figures on the validation part after each epoch; interruptions left out."""
    cpu_seconds: Optional[float] = None
    """Likewise, of the process: all its threads."""
    rank_milliseconds: Optional[float] = None
    """Median time of `rank` for one user and `rank_candidates` others, in process, on the machine that evaluated."""
    rank_candidates: int = 0


class Learning(_Part):
    """How a model learned; one number an epoch."""

    monitor: str
    """The figure on the validation part that chose the epoch."""
    best_epoch: int
    loss: Tuple[float, ...]
    figure: Tuple[float, ...]
    cpu_seconds: Tuple[float, ...] = ()
    """From the start to the end of each epoch; empty for a run that did not count them."""


class Difference(_Part):
    """A figure of one model less that of another, on the same users."""

    value: float
    interval: Optional[Ends] = None

    @property
    def beyond_chance(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.interval is not None and not self.interval[0] <= 0.0 <= self.interval[1]
