"""What a case of the corpus is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional, Tuple

Build = Callable[[Path], None]
"""Saves a model into this folder, which does not exist yet."""


@dataclass(frozen=True)
class Case:
    """A model with a defect."""

    code: str
    """The rule that must find it."""
    disguise: str
    build: Build
    culprit: str
    """What the message must contain: the input, node or file at fault."""
    severity: str = "error"
    features: Optional[Tuple[str, ...]] = None
    training_only: Tuple[str, ...] = ()
    also: Tuple[str, ...] = ()
    """Other rules that rightly object, at warning or above, to the same defect."""


@dataclass(frozen=True)
class Clean:
    """A model without a defect at warning or above."""

    name: str
    build: Build
    resembles: Tuple[str, ...]
    """The rules that it could mislead; they must not even mention it."""
    features: Optional[Tuple[str, ...]] = None
    training_only: Tuple[str, ...] = ()
