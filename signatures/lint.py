"""Lints an exported model: every rule, over the traces of every signature, without loading the model."""

from __future__ import annotations

from pathlib import Path
from typing import Iterable, List, Optional, Union

from signatures import manifest, reader, rules
from signatures.declaration import declare
from signatures.errors import UsageError
from signatures.export import Export
from signatures.findings import Finding, in_order


def lint(
    path: Union[str, Path], features: Optional[Iterable[str]] = None, training_only: Iterable[str] = ()
) -> List[Finding]:
    """The findings about a SavedModel, the newest version in a folder, or an exported training graph; the worst first.

    features: the inputs that clients have (None: not listed); with those of the export's manifest, where it has one.
    training_only: inputs that they have not. Raises UsageError when the model cannot be read.
    """
    return check(open_export(path, features, training_only))


def open_export(
    path: Union[str, Path], features: Optional[Iterable[str]] = None, training_only: Iterable[str] = ()
) -> Export:
    """The model at a path with its declaration, for rules to look at."""
    model = reader.read(Path(path))
    found = manifest.read(model.path)
    return Export(model, declare(found, features, training_only), found)


def check(export: Export) -> List[Finding]:
    """What the rules find, without what the manifest allows with a reason."""
    modules = rules.load()
    allowed = {each.code for each in export.manifest.suppressions} if export.manifest else set()
    unknown = sorted(allowed - {module.RULE.code for module in modules})
    if unknown:
        raise UsageError(f"the manifest of {export.model.path} suppresses {unknown[0]!r}, which is no rule; correct it")
    found = (finding for module in modules for finding in module.check(export))
    return in_order(finding for finding in found if finding.rule not in allowed)
