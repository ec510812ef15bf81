"""Prints results in the format asked for."""

from __future__ import annotations

import os
import shutil
import sys
from enum import Enum
from typing import Sequence

from signatures.lint import Result


class Format(str, Enum):
    """How findings are printed."""

    text = "text"
    json = "json"
    sarif = "sarif"
    github = "github"


def show(results: Sequence[Result], output: Format, many: bool) -> None:
    """Writes the results on standard output; `many` says that a folder of models or several paths were asked for."""
    # Imported where it is needed: the linter shall be done before one wonders what it does.
    if output is Format.json:
        from signatures.formats import plain_json

        _write(plain_json.document(results, many))
    elif output is Format.sarif:
        from signatures.formats import sarif

        _write(sarif.document(results))
    elif output is Format.github:
        from signatures.formats import github

        _write(github.commands(results))
    else:
        from signatures.formats import text

        wide = min(shutil.get_terminal_size().columns, 120)
        _write(text.coloured(results, many, wide) if _colourful() else text.plain(results, many))


def _colourful() -> bool:
    """True on a terminal that shows colours, and whose encoding has the marks; NO_COLOR is obeyed."""
    utf = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return utf and sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _write(told: str) -> None:
    """What a terminal or file of another encoding cannot hold is escaped: no name in a model may stop the linter."""
    encoding = sys.stdout.encoding or "utf-8"
    if told:
        print(told.encode(encoding, "backslashreplace").decode(encoding))
