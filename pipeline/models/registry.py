"""The list of models, and how to get one by name."""

from __future__ import annotations

from importlib import import_module

from pipeline.models.specification import ModelSpec
from signatures.errors import UsageError

NAMES = ("deepfm", "din", "two_tower", "sasrec", "mmoe")


def load(name: str) -> ModelSpec:
    """The model of this name. Raises UsageError for a name that is not in the list."""
    if name not in NAMES:
        raise UsageError(f"model {name!r} is unknown; choose one of {', '.join(NAMES)}")
    spec: ModelSpec = import_module(f"pipeline.models.{name}").SPEC
    return spec
