"""The list of models, and how to get one by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from signatures.errors import UsageError

if TYPE_CHECKING:  # it imports TensorFlow, and a list of experiments must not wait for that
    from pipeline.models.specification import ModelSpec

NAMES = ("deepfm", "din", "two_tower", "sasrec", "mmoe")


def load(name: str) -> ModelSpec:
    """The model of this name. Raises UsageError for a name that is not in the list."""
    check(name)
    spec: ModelSpec = import_module(f"pipeline.models.{name}").SPEC
    return spec


def check(name: str) -> None:
    """Raises UsageError for a name that is not in the list, without loading anything."""
    if name not in NAMES:
        raise UsageError(f"model {name!r} is unknown; choose one of {', '.join(NAMES)}")
