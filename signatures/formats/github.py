"""Findings as GitHub's workflow commands, which become annotations of a pull request."""

from __future__ import annotations

from typing import List, Sequence

from signatures import cards
from signatures.formats.sarif import location
from signatures.formats.text import printable
from signatures.lint import Result

_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def commands(results: Sequence[Result]) -> str:
    """`::error file=…,title=…::…`, one line per finding."""
    known = cards.cards()
    lines: List[str] = []
    for result in results:
        file = location(result.path)
        if result.problem:
            lines.append(_command("error", file, "unusable model", result.problem))
        for each in result.findings:
            title = f"{each.rule} {known[each.rule].rule.name}" if each.rule in known else each.rule
            told = f"{each.place}: {each.message}" if each.place else each.message
            lines.append(_command(_COMMANDS[each.severity], file, title, told))
    return "\n".join(lines)


def _command(name: str, file: str, title: str, message: str) -> str:
    return f"::{name} file={_property(file)},title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    """What follows the second `::`: there, only these end or change the command."""
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
