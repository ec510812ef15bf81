"""What is told of every code: its rule's card and docstring, for --explain, --list-rules, SARIF, HTML page and README.

A package in PACKAGES lists its rule files in NAMES; each file has a docstring (a title, then Why, Bad, Good) and RULE.
"""

from __future__ import annotations

import difflib
import re
import textwrap
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Dict, FrozenSet, Iterable, List, Mapping, Tuple

from signatures.errors import UsageError
from signatures.findings import Rule

PACKAGES: Tuple[str, ...] = ("signatures.rules", "signatures.changes", "signatures.execution.checks")
"""Linting, comparing versions, running."""

FAMILIES = {
    "SIG1": "inputs and outputs of a signature",
    "SIG2": "ops that run",
    "SIG3": "assets and variables",
    "SIG4": "purity of a training graph",
    "SIG5": "compatibility of two versions",
    "SIG6": "the manifest",
    "SIG7": "running the model",
}


@dataclass(frozen=True)
class Card:
    """A rule as people read it. `sections` has Why, Bad, Good and whatever else the docstring has, in its order."""

    rule: Rule
    title: str
    sections: Mapping[str, str]


@cache
def codes() -> FrozenSet[str]:
    """Every code, by the names of the files: for this none of them is imported."""
    names = (name for package in PACKAGES for name in import_module(package).NAMES)
    return frozenset(name.partition("_")[0].upper() for name in names)


@cache
def cards() -> Mapping[str, Card]:
    """Every card by its code, in the order of the codes."""
    found: Dict[str, Card] = {}
    for package in PACKAGES:
        for name in import_module(package).NAMES:
            module = import_module(f"{package}.{name}")
            title, sections = _read(module.__doc__ or "")
            found[module.RULE.code] = Card(module.RULE, title, sections)
    return dict(sorted(found.items()))


def card(code: str) -> Card:
    """The card of a code. Raises UsageError when there is none."""
    known = cards()
    if code.upper() not in known:
        raise UsageError(_unknown(code, codes()))
    return known[code.upper()]


def expand(chosen: Iterable[str]) -> FrozenSet[str]:
    """The codes that some codes, beginnings of codes (SIG2), or comma-separated lists of them stand for.

    Raises UsageError for one that stands for none.
    """
    known = codes()
    found: FrozenSet[str] = frozenset()
    for word in (each.strip() for text in chosen for each in text.split(",")):
        meant = frozenset(code for code in known if re.fullmatch(r"SIG\d*", word) and code.startswith(word))
        if not meant:
            raise UsageError(_unknown(word, known))
        found |= meant
    return found


def select(wanted: Iterable[str], unwanted: Iterable[str]) -> FrozenSet[str]:
    """The codes that are asked for: all of them where `wanted` is empty, without the unwanted."""
    chosen = list(wanted)
    return (expand(chosen) if chosen else codes()) - expand(unwanted)


def explain(code: str) -> str:
    """A card as plain text: code, name, severity, then why it matters and what to do."""
    found = card(code)
    lines = [f"{found.rule.code} {found.rule.name} ({found.rule.severity})", "", *textwrap.wrap(found.title, 98)]
    for name, text in found.sections.items():
        lines += ["", f"{name}:", *textwrap.wrap(text, 96, initial_indent="  ", subsequent_indent="  ")]
    return "\n".join(lines)


def table() -> List[Tuple[str, str, str, str]]:
    """(code, name, severity, title) of every rule."""
    return [(code, each.rule.name, each.rule.severity, each.title) for code, each in cards().items()]


def _read(docstring: str) -> Tuple[str, Mapping[str, str]]:
    """Title and sections of a docstring; paragraphs without a name of their own continue the one before."""
    title, *paragraphs = re.split(r"\n\s*\n", textwrap.dedent(docstring).strip())
    sections: Dict[str, str] = {}
    last = ""
    for paragraph in paragraphs:
        text = " ".join(paragraph.split())
        named = re.match(r"([A-Z][a-z]+): ", text)
        if named:
            last, text = named[1], text[named.end() :]
        sections[last or "Note"] = " ".join(filter(None, (sections.get(last or "Note", ""), text)))
    return " ".join(title.split()), sections


def _unknown(code: str, known: Iterable[str]) -> str:
    near = [each for each in sorted(known) if code.upper().startswith(each)]
    near = near or difflib.get_close_matches(code.upper(), sorted(known), n=1)
    meant = f"; did you mean {near[0]}?" if near else ";"
    return f"{code!r} is no rule{meant} `lint --list-rules` names them all"
