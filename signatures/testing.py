"""An assertion for test suites: nothing of training reaches a prediction of an exported model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterable, List, Optional, Union

from signatures.cards import expand
from signatures.errors import UsageError
from signatures.findings import Finding
from signatures.lint import check, open_export
from signatures.purity import prove

PathLike = Union[str, "os.PathLike[str]"]


def assert_pure(
    path: PathLike,
    features: Optional[Iterable[str]] = None,
    training_only: Iterable[str] = (),
    training_graph: Optional[PathLike] = None,
    ignore: Iterable[str] = (),
) -> None:
    """Raises AssertionError, with the findings as its text, when lint finds an error in the model at this path.

    features: the inputs that clients have; the list is what catches a mask under any name, so it may be left out only
    where the export's own manifest has one, or `training_only` names what must not be reached.
    training_graph: the exported training graph of the same model; its predictions must not depend on labels, masks or
    weights, and its loss must depend on each of them.
    ignore: codes that do not count, or beginnings of codes.
    Raises UsageError when a model cannot be read, and when nothing says what is a feature: a proof would prove nothing.
    """
    forbidden, unwanted = list(training_only), expand(ignore)
    export = open_export(Path(path), features, forbidden)
    if export.declaration.features is None and not forbidden:
        raise UsageError(
            f"{path} has no manifest, so nothing says which of its inputs are features; give features=[...], the names "
            "of all that clients have"
        )
    found = check(export)
    if training_graph is not None:
        found += prove(Path(training_graph))
    errors = [each for each in found if each.severity == "error" and each.rule not in unwanted]
    if errors:
        raise AssertionError(_told(path, errors))


def _told(path: PathLike, errors: List[Finding]) -> str:
    lines = [f"  {each.rule} {each.place or 'the model'}: {each.message}" for each in errors]
    return "\n".join([f"{path} is not pure:", *lines])
