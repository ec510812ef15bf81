"""What a new version changes for those who use the old one, one file each, listed in NAMES: the SIG5xx family.

A file holds a docstring (Why, Client, Server, Bad, Good), `RULE`, whose examples are two models with a line `---`
between them, and `check(versions)`, which yields findings: an *error* breaks a client or a server that works today, a
*warning* breaks some, *info* breaks none.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, List

NAMES = (
    "sig501_removed_signature",
    "sig502_removed_input",
    "sig503_removed_output",
    "sig504_added_input",
    "sig505_changed_dtype",
    "sig506_changed_shape",
    "sig507_changed_method",
    "sig508_added_signature",
    "sig509_added_output",
    "sig510_renamed_input",
    "sig511_renamed_output",
    "sig512_lost_default",
    "sig513_added_custom_op",
    "sig514_changed_server_image",
    "sig515_changed_role",
    "sig516_renamed_signature",
    "sig517_changed_batching",
)


def load() -> List[Any]:
    """Every module, in the order of NAMES."""
    return [import_module(f"signatures.changes.{name}") for name in NAMES]
