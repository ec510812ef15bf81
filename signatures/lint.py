"""Lints an exported model: every rule, over the traces of every signature, without loading the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import AbstractSet, Iterable, List, Optional, Sequence, Tuple, Union

from signatures import cards, manifest, reader, rules
from signatures.declaration import declare
from signatures.errors import UsageError
from signatures.export import Export
from signatures.findings import Finding, in_order
from signatures.manifest import Suppression


@dataclass(frozen=True)
class Result:
    """What is said of one model."""

    path: Path
    findings: List[Finding] = field(default_factory=list)
    suppressed: List[Tuple[Finding, str]] = field(default_factory=list)
    """Findings that the model is allowed to have, and why."""
    decidable: bool = True
    """False where nobody listed the features: whether an input is a mask was then guessed from its name."""
    problem: Optional[str] = None
    """Why the model could not be examined."""


def lint(
    path: Union[str, Path], features: Optional[Iterable[str]] = None, training_only: Iterable[str] = ()
) -> List[Finding]:
    """The findings about a SavedModel, the newest version in a folder, or an exported training graph; the worst first.

    features: the inputs that clients have (None: not listed); with those of the export's manifest, where it has one.
    training_only: inputs that they have not. Raises UsageError when the model cannot be read.
    """
    return check(open_export(path, features, training_only))


def open_export(
    path: Union[str, Path],
    features: Optional[Iterable[str]] = None,
    training_only: Iterable[str] = (),
    suppressions: Sequence[Suppression] = (),
) -> Export:
    """The model at a path with its declaration, for rules to look at. `suppressions` add to those of the manifest."""
    model = reader.read(Path(path))
    found = manifest.read(model.path)
    allowed = (*(found.suppressions if found else ()), *suppressions)
    return Export(model, declare(found, features, training_only), found, allowed)


def check(export: Export) -> List[Finding]:
    """What the rules find, without what the export is allowed to have."""
    return examine(export).findings


def examine(
    export: Export, codes: Optional[AbstractSet[str]] = None, found_otherwise: Iterable[Finding] = ()
) -> Result:
    """What the rules of these codes find (None: of all), with what was found otherwise, such as by running the model.

    Raises UsageError where a suppression names no rule.
    """
    modules = [each for each in rules.load() if codes is None or each.RULE.code in codes]
    found = (finding for module in modules for finding in module.check(export))
    return judged(export, in_order([*found, *found_otherwise]))


def judged(export: Export, findings: Iterable[Finding]) -> Result:
    """The findings, apart from those that the export is allowed to have."""
    allowed = {each.code: each.reason for each in export.suppressions}
    unknown = sorted(allowed.keys() - cards.codes())
    if unknown:
        raise UsageError(f"{export.model.path} suppresses {unknown[0]!r}, which is no rule; correct it")
    found = list(findings)
    decidable = export.declaration.features is not None or not any(each.inputs for each in export.inference())
    return Result(
        path=export.model.path,
        findings=[each for each in found if each.rule not in allowed],
        suppressed=[(each, allowed[each.rule]) for each in found if each.rule in allowed],
        decidable=decidable,
    )
