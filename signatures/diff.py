"""What a new version of a model means for the clients of the old one, and for the server that runs it.

Severity says it: an *error* breaks what works today, a *warning* breaks some of it, *info* breaks nothing. Compared is
what the signatures, the graph's ops and the manifest declare; what the model computes is for measurements to tell.
"""

from __future__ import annotations

from pathlib import Path
from typing import List, Union

from signatures import changes
from signatures.changes.versions import Versions
from signatures.export import Export
from signatures.findings import Finding, in_order
from signatures.lint import open_export


def diff(old: Union[str, Path], new: Union[str, Path]) -> List[Finding]:
    """What changed from one export to another, breaking changes first. Raises UsageError when one cannot be read."""
    return compare(open_export(old), open_export(new))


def compare(old: Export, new: Export) -> List[Finding]:
    """What changed between two models."""
    versions = Versions(old, new)
    return in_order(finding for module in changes.load() for finding in module.check(versions))
