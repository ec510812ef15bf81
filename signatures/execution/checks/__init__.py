"""What a loaded model is tested for, one file each, listed in NAMES: the SIG7xx family.

A check file holds a docstring (Why, Bad, Good), `RULE`, with examples in the notation of signatures.execution.examples,
and `check(probe)`, which yields findings.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, FrozenSet, List

NAMES = (
    "sig701_batch_dependence",
    "sig702_padding_dependence",
    "sig703_nondeterminism",
    "sig704_not_finite",
    "sig705_unknown_id_refused",
    "sig706_misaligned_rows",
    "sig707_dead_value",
    "sig708_golden_difference",
    "sig709_unusable_model",
    "sig710_unsafe_to_load",
)
CODES: FrozenSet[str] = frozenset(name.partition("_")[0].upper() for name in NAMES)


def load() -> List[Any]:
    """Every check's module, in the order of NAMES."""
    return [import_module(f"signatures.execution.checks.{name}") for name in NAMES]
