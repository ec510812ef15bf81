"""Findings for people: one line each where the output goes into a file or a pipe, wrapped on a terminal."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Iterable, List, Sequence

from signatures.findings import Finding, counted
from signatures.lint import Result

if TYPE_CHECKING:  # costs a tenth of a second, and a pipe does without
    from rich.table import Table

UNDECIDABLE = (
    "no list of features, so a mask is known by its name only; to decide it, give --feature NAME for each feature, "
    "or --declaration FILE"
)
_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text without what would move the cursor or break the line: names in a model are a stranger's."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def plain(results: Sequence[Result], many: bool) -> str:
    """A line per finding and one that sums the model up; with many models, a last one over all."""
    lines: List[str] = []
    for result in results:
        lines += [_line(each) for each in result.findings]
        lines.append(f"{printable(str(result.path))}: {_summary(result)}")
    if many:
        lines.append(_total(results))
    return "\n".join(lines)


def coloured(results: Sequence[Result], many: bool, width: int) -> str:
    """The same for a terminal so many columns wide: what is wrong, then the cure on a line of its own."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    target = io.StringIO()
    console = Console(file=target, width=width, force_terminal=True, highlight=False, legacy_windows=False)
    for result in results:
        bad = result.problem or any(each.severity == "error" for each in result.findings)
        mark = Text("✗ " if bad else "✓ ", style="bold red" if bad else "bold green")
        console.print(mark + Text(printable(str(result.path)), style="bold"))
        if result.findings:
            console.print(_grid(result.findings))
        console.print(Padding(Text(_summary(result), style="dim"), (0, 0, 0, 2)))
    if many:
        console.print(Text(_total(results), style="bold"))
    codes = {each.rule for result in results for each in result.findings}
    if codes:
        console.print(Text(f"lint --explain {min(codes)} says why it matters", style="dim"))
    return target.getvalue().rstrip("\n")


def _grid(findings: Iterable[Finding]) -> Table:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for each in findings:
        told, cure = map(printable, each.told_and_cure())
        text = Text(printable(each.place.replace("/", " · ", 1) or "the model"), style="bold")
        text.append("\n" + told, style="not bold")
        if cure:
            text.append("\n→ " + cure, style="not bold green")
        grid.add_row(Text("  " + each.severity, style=_STYLES[each.severity]), Text(each.rule, style="bold"), text)
    return grid


def _line(finding: Finding) -> str:
    return printable(f"{finding.severity:<7} {finding.rule} {finding.place or '-'}: {finding.message}")


def _summary(result: Result) -> str:
    if result.problem:
        return "not examined"
    allowed = [f"{each.rule} allowed ({reason})" for each, reason in result.suppressed]
    words = [", ".join([counted(result.findings), *map(printable, dict.fromkeys(allowed))])]
    return "; ".join(words if result.decidable else [*words, UNDECIDABLE])


def _total(results: Sequence[Result]) -> str:
    models = "1 model" if len(results) == 1 else f"{len(results)} models"
    return f"{models}: {counted(each for result in results for each in result.findings)}"
