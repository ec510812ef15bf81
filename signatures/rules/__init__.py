"""The lint rules, one file each, listed in NAMES. A rule that cannot be imported stops the linter.

A rule file holds a docstring (Why, Bad, Good), `RULE`, and `check(export)`, which yields findings.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, List

NAMES = (
    "sig101_training_only_input",
    "sig102_undeclared_input",
    "sig103_unfed_placeholder",
    "sig104_unused_input",
    "sig105_missing_serving_default",
    "sig106_generated_name",
    "sig107_unaligned_output",
    "sig108_double_precision",
    "sig201_host_callback",
    "sig202_live_randomness",
    "sig203_state_write",
    "sig204_file_access",
    "sig205_custom_op",
    "sig206_required_xla",
    "sig301_foreign_asset",
    "sig401_impure_prediction",
    "sig402_inert_training_input",
    "sig403_unassigned_training_input",
)


def load() -> List[Any]:
    """Every rule module, in the order of NAMES."""
    return [import_module(f"signatures.rules.{name}") for name in NAMES]
