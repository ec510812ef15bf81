"""The page: for each model its verdict, its findings, a picture of each signature, and what the rules say.

It needs no other file and no network. Names in a model are a stranger's: the template escapes all but our drawings.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Sequence, Tuple

import jinja2
from markupsafe import Markup

from signatures import cards
from signatures.declaration import TRAINING_PREFIXES
from signatures.export import INIT, Export
from signatures.files import write_whole
from signatures.findings import Finding, counted, has_errors
from signatures.formats.text import printable
from signatures.lint import Result
from signatures.report.drawing import svg
from signatures.report.marks import LEAKS
from signatures.report.picture import Picture, picture
from signatures.saved_model import Signature

ROLES = {
    "feature": "feature",
    "length": "length of a list",
    "request": "part of the request",
    "unknown": "not declared",
    "suspect": "perhaps training's, by its name",
    "undeclared": "no declared feature",
    "training": "training only",
    "source": "an op that a finding is about",
}


@dataclass(frozen=True)
class Drawn:
    """One signature on the page."""

    name: str
    sentence: str
    proven: str
    """yes, no, or open: whether nothing of training reaches an output."""
    drawing: Markup
    roles: Tuple[Tuple[str, str], ...]
    apart: Tuple[Tuple[str, str], ...]
    findings: Tuple[Finding, ...]
    unused: bool
    leaks: bool


def section(export: Export, result: Result) -> str:
    """The part of the page about one model."""
    trains = {each.name for each in export.training()}
    drawn = [_drawn(export, each, result, each.name in trains) for each in export.model.signatures.values()]
    codes = sorted({each.rule for each in result.findings} | {each.rule for each, _ in result.suppressed})
    rest = [each for each in result.findings if each.signature not in export.model.signatures]
    return _template("model.html").render(
        result=result,
        path=printable(str(result.path)),
        verdict="bad" if has_errors(result.findings) else "open" if not result.decidable else "good",
        counted=counted(result.findings),
        drawn=drawn,
        rest=rest,
        init=INIT,
        cards=[cards.card(code) for code in codes],
    )


def unusable(result: Result) -> str:
    """The part of the page about a model that could not be examined."""
    return _template("unusable.html").render(path=printable(str(result.path)), problem=printable(result.problem or ""))


def html(sections: Sequence[str]) -> str:
    """The whole page."""
    return _template("page.html").render(sections=[Markup(each) for each in sections])


def write(file: Path, sections: Sequence[str]) -> None:
    """Writes the page, whole or not at all. Raises UsageError where it cannot be written."""
    write_whole(file, html(sections), "give a file in a folder")


def _drawn(export: Export, signature: Signature, result: Result, trains: bool) -> Drawn:
    shown = picture(export, signature, result.findings)
    proven, sentence = _verdict(export, signature, shown, result, trains)
    present = {port.role for port in shown.inputs.values()}
    title = f"{signature.name}: from {len(shown.inputs)} inputs to {', '.join(signature.outputs)}"
    return Drawn(
        name=printable(signature.name),
        sentence=sentence,
        proven=proven,
        drawing=Markup(svg(shown, title)),
        roles=tuple((role, told) for role, told in ROLES.items() if role in present),
        apart=tuple((printable(name), found[0].rule) for name, found in shown.apart),
        findings=tuple(each for each in result.findings if each.signature == signature.name),
        unused=not all(port.used for port in shown.inputs.values()),
        leaks=any(line.leak for line in shown.lines),
    )


def _verdict(export: Export, signature: Signature, shown: Picture, result: Result, trains: bool) -> Tuple[str, str]:
    """Whether nothing of training reaches an output, and how that is known. Allowed and ignored findings count too."""
    found = [*result.findings, *(each for each, _ in result.suppressed)]
    leaks = [each.tensor or "" for each in found if each.signature == signature.name and each.rule in LEAKS]
    if trains:
        trace = export.trace(signature.name)
        reached = {name for output in signature.outputs if output != "loss" for name in trace.inputs(output)}
        leaks += [name for name in signature.inputs if name in reached and name.startswith(TRAINING_PREFIXES)]
    else:
        leaks += [port.name for port in shown.inputs.values() if port.used and port.role in ("training", "undeclared")]
    if leaks:
        names = ", ".join(map(repr, dict.fromkeys(leaks)))
        return "no", printable(f"{names} {'reach' if ',' in names else 'reaches'} an output and must not.")
    if trains:
        return "yes", "A training graph: no label, mask or weight reaches a prediction."
    if not shown.inputs:
        return "yes", "It takes no inputs."
    if result.decidable:
        return "yes", "Every input that reaches an output is a declared feature or part of the request."
    return "open", "Nobody listed the features, so a mask would be known by its name only; see lint --feature."


@cache
def _template(name: str) -> Any:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable
    return environment.get_template(name)
