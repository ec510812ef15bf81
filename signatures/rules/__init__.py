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
    "sig109_mixed_rows",
    "sig110_foreign_method",
    "sig111_ambiguous_meta_graph",
    "sig112_float_id",
    "sig113_constant_output",
    "sig114_extra_tag",
    "sig115_unbatched_input",
    "sig201_host_callback",
    "sig202_live_randomness",
    "sig203_state_write",
    "sig204_file_access",
    "sig205_custom_op",
    "sig206_required_xla",
    "sig207_batch_statistics",
    "sig208_fixed_device",
    "sig209_huge_constant",
    "sig210_wall_clock",
    "sig211_gradient_op",
    "sig212_assertion",
    "sig301_foreign_asset",
    "sig302_uninitialised_table",
    "sig303_unread_variable",
    "sig304_oversized_variables",
    "sig401_impure_prediction",
    "sig402_inert_training_input",
    "sig403_unassigned_training_input",
    "sig601_unmatched_manifest",
    "sig602_contradicted_manifest",
    "sig603_stock_server_image",
)


def load() -> List[Any]:
    """Every rule module, in the order of NAMES."""
    return [import_module(f"signatures.rules.{name}") for name in NAMES]
