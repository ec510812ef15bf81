"""The linter's commands: `python -m signatures lint|diff`, and the same two verbs of the `signet` console.

Exit codes: 0 no errors (warnings are allowed), 1 errors found, 2 unusable input, by UsageError.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import FrozenSet, List, Optional, Sequence, Tuple

import typer

from signatures import cards, collector, printing, reader, targets
from signatures import diff as comparison
from signatures import lint as linter
from signatures.errors import UsageError
from signatures.execution import run as execution
from signatures.export import Export
from signatures.findings import Finding, has_errors
from signatures.lint import Result
from signatures.manifest import Suppression
from signatures.printing import Format

_PATHS = typer.Argument(
    None, metavar="PATH…", help="A SavedModel, a folder of its versions (the newest counts), a folder of models."
)
_FORMAT = typer.Option(Format.text, "--format", help="text for people, json and sarif for programs, github for a CI.")
_FEATURE = typer.Option(None, "--feature", metavar="NAME", help="An input that clients have; once per feature.")
_TRAINING_ONLY = typer.Option(None, "--training-only", metavar="NAME", help="An input that only training has.")
_DECLARATION = typer.Option(None, "--declaration", metavar="FILE", help="YAML: features, training_only, suppressions.")
_SELECT = typer.Option(None, "--select", metavar="CODES", help="Only these: SIG101, or SIG2 for all that begin so.")
_IGNORE = typer.Option(None, "--ignore", metavar="CODES", help="All but these.")
_REPORT = typer.Option(None, "--report", metavar="FILE.html", help="Write a page that shows each signature.")
_EXPLAIN = typer.Option(None, "--explain", metavar="CODE", help="Say why a code matters and what to do; no PATH.")
_LIST_RULES = typer.Option(False, "--list-rules", help="List all codes; no PATH.")
_RUN = typer.Option(False, "--run", help="Load the model too, in a process of its own, and test what it answers.")
_ALLOW_UNSAFE = typer.Option(False, "--allow-unsafe", help="With --run: load it even if it may do harm.")
_TIME_LIMIT = typer.Option(execution.SECONDS, "--time-limit", metavar="SECONDS", min=1.0, help="With --run: per model.")
_OLD = typer.Argument(..., help="The version that is served now.")
_NEW = typer.Argument(..., help="The version that shall replace it.")


@dataclass(frozen=True)
class Asked:
    """What every model is asked, whichever it is."""

    codes: FrozenSet[str]
    features: Optional[Tuple[str, ...]] = None
    training_only: Tuple[str, ...] = ()
    suppressions: Tuple[Suppression, ...] = ()
    run: bool = False
    allow_unsafe: bool = False
    time_limit: float = execution.SECONDS

    def answers(self, export: Export) -> List[Finding]:
        """What comes out when the model is run, where that is asked for."""
        if not self.run:
            return []
        return execution.run(export, self.codes, self.allow_unsafe, self.time_limit)


def lint(
    paths: Optional[List[Path]] = _PATHS,
    output: Format = _FORMAT,
    feature: Optional[List[str]] = _FEATURE,
    training_only: Optional[List[str]] = _TRAINING_ONLY,
    declaration: Optional[Path] = _DECLARATION,
    select: Optional[List[str]] = _SELECT,
    ignore: Optional[List[str]] = _IGNORE,
    report: Optional[Path] = _REPORT,
    explain: Optional[str] = _EXPLAIN,
    list_rules: bool = _LIST_RULES,
    run: bool = _RUN,
    allow_unsafe: bool = _ALLOW_UNSAFE,
    time_limit: float = _TIME_LIMIT,
) -> None:
    """Prove that nothing of training reaches a prediction, and find what a server would stumble over."""
    if explain is not None:
        typer.echo(cards.explain(explain))
        return
    if list_rules:
        typer.echo(_rules(output))
        return
    if not paths:
        raise typer.BadParameter("give a model, or --explain CODE, or --list-rules", param_hint="PATH…")
    told = _asked(cards.select(select or (), ignore or ()), feature, training_only, declaration)
    asked = replace(told, run=run, allow_unsafe=allow_unsafe, time_limit=time_limit)
    _check_run(asked, select or ())
    folders, many = targets.models(paths)
    page = _Page(report)
    with collector.rarely():
        results = [_examined(folder, asked, page, many) for folder in folders]
    page.write()
    printing.show(results, output, many)
    _finish(results)


def diff(old: Path = _OLD, new: Path = _NEW, output: Format = _FORMAT) -> None:
    """Say what a new version breaks for the clients of the old one."""
    results = [Result(reader.locate(new), comparison.diff(old, new))]
    printing.show(results, output, many=False)
    _finish(results)


class _Page:
    """The HTML page, where one is wanted: a section per model, made while the model is at hand."""

    def __init__(self, file: Optional[Path]) -> None:
        self.file = file
        self.sections: List[str] = []

    def add(self, export: Export, result: Result) -> None:
        if self.file is not None:
            from signatures.report import page

            self.sections.append(page.section(export, result))

    def add_unusable(self, result: Result) -> None:
        if self.file is not None:
            from signatures.report import page

            self.sections.append(page.unusable(result))

    def write(self) -> None:
        if self.file is not None:
            from signatures.report import page

            page.write(self.file, self.sections)


def _asked(
    codes: FrozenSet[str], feature: Optional[List[str]], training_only: Optional[List[str]], file: Optional[Path]
) -> Asked:
    """The flags together with the declaration file; a list of features in either is a list."""
    listed, forbidden = tuple(feature) if feature else None, tuple(training_only or ())
    if file is None:
        return Asked(codes, listed, forbidden)
    from signatures import declaration_file  # with YAML, which few need

    told = declaration_file.read(file)
    listed = listed if told.features is None else (*told.features, *(listed or ()))
    return Asked(codes, listed, (*told.training_only, *forbidden), tuple(told.suppressions))


def _check_run(asked: Asked, select: Sequence[str]) -> None:
    """Raises UsageError for flags that would be ignored in silence."""
    if asked.allow_unsafe and not asked.run:
        raise UsageError("--allow-unsafe says how to run a model; add --run")
    needing = [word for text in select for word in text.split(",") if word.strip().startswith("SIG7")]
    if needing and not asked.run:
        raise UsageError(f"--select {needing[0]} asks for what only running the model can tell; add --run")


def _examined(folder: Path, asked: Asked, page: _Page, many: bool) -> Result:
    """One model's result. Among many, one that cannot be read does not keep the others from being examined."""
    try:
        export = linter.open_export(folder, asked.features, asked.training_only, asked.suppressions)
        result = linter.examine(export, asked.codes, asked.answers(export))
        page.add(export, result)
        return result
    except UsageError as error:
        if not many:
            raise
        result = Result(folder, problem=str(error))
        page.add_unusable(result)
        return result


def _rules(output: Format) -> str:
    if output is Format.json:
        keys = ("code", "name", "severity", "title")
        return json.dumps([dict(zip(keys, row)) for row in cards.table()], indent=1)
    return "\n".join(f"{code} {severity:<7} {name:<28} {title}" for code, name, severity, title in cards.table())


def _finish(results: List[Result]) -> None:
    """Ends the command: an unusable model outweighs errors, and errors outweigh none."""
    problems = [each.problem for each in results if each.problem]
    if problems:
        raise UsageError(" | ".join(problems))
    if any(has_errors(each.findings) for each in results):
        raise typer.Exit(1)
