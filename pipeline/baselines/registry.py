"""The list of baselines, and how to get one by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from signatures.errors import UsageError

if TYPE_CHECKING:
    from pipeline.evaluation.scoring import Scorer
    from pipeline.prepared import Prepared

NAMES = ("popularity", "co_occurrence", "logistic_regression", "gradient_boosting")


class Fit(Protocol):
    """`fit` of every file in this package."""

    def __call__(self, prepared: Prepared) -> Scorer:
        """A scorer made of the training part, the same each time; a Predictor where it answers binary tasks.

        What has to be chosen is chosen on the validation part; the test part is never read.

        Raises UsageError where the data lacks what it needs.
        """


def load(name: str) -> Fit:
    """The baseline of this name. Raises UsageError for a name that is not in the list."""
    check(name)
    fit: Fit = import_module(f"pipeline.baselines.{name}").fit
    return fit


def check(name: str) -> None:
    """Raises UsageError for a name that is not in the list, without loading anything."""
    if name not in NAMES:
        raise UsageError(f"baseline {name!r} is unknown; choose one of {', '.join(NAMES)}")
