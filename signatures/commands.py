"""The linter's commands: `python -m signatures lint|diff`, and the same two verbs of the `signet` console.

Exit codes: 0 no errors (warnings are allowed), 1 errors found, 2 unusable input, by UsageError.
"""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import List, Optional

import typer

from signatures import diff as comparison
from signatures import lint as linter
from signatures import reader
from signatures.findings import SEVERITIES, Finding, has_errors


class Format(str, Enum):
    """How findings are printed."""

    text = "text"
    json = "json"


_FORMAT = typer.Option(Format.text, "--format", help="text for people, json for programs.")
_PATH = typer.Argument(..., help="A SavedModel, a folder of its versions (the newest counts), or a training graph.")
_FEATURE = typer.Option(None, "--feature", metavar="NAME", help="An input that clients have; once per feature.")
_TRAINING_ONLY = typer.Option(None, "--training-only", metavar="NAME", help="An input that only training has.")
_OLD = typer.Argument(..., help="The version that is served now.")
_NEW = typer.Argument(..., help="The version that shall replace it.")


def lint(
    path: Path = _PATH,
    output: Format = _FORMAT,
    feature: Optional[List[str]] = _FEATURE,
    training_only: Optional[List[str]] = _TRAINING_ONLY,
) -> None:
    """Prove that nothing of training reaches a prediction, and find what a server would stumble over."""
    folder = reader.locate(path)
    _report(folder, linter.lint(folder, feature or None, training_only or ()), output)


def diff(old: Path = _OLD, new: Path = _NEW, output: Format = _FORMAT) -> None:
    """Say what a new version breaks for the clients of the old one."""
    _report(reader.locate(new), comparison.diff(old, new), output)


def _report(path: Path, findings: List[Finding], output: Format) -> None:
    """Prints the findings and ends the command with 1 when one is an error."""
    if output is Format.json:
        typer.echo(json.dumps({"path": str(path), "findings": [each.as_dict() for each in findings]}, indent=1))
    else:
        typer.echo(_text(path, findings))
    if has_errors(findings):
        raise typer.Exit(1)


def _text(path: Path, findings: List[Finding]) -> str:
    """One line per finding, and a last one that counts them."""
    lines = []
    for each in findings:
        place = "/".join(filter(None, (each.signature, each.tensor)))
        lines.append(f"{each.severity:<7} {each.rule} {place or '-'}: {each.message}")
    counts = {severity: sum(each.severity == severity for each in findings) for severity in SEVERITIES}
    told = ", ".join(_count(severity, count) for severity, count in counts.items() if count)
    return "\n".join([*lines, f"{path}: {told or 'nothing found'}"])


def _count(severity: str, count: int) -> str:
    return f"{count} {severity}" if count == 1 or severity == "info" else f"{count} {severity}s"
