"""A picture as SVG, to stand inside a page: colours are classes, so that the page's light and dark styles hold."""

from __future__ import annotations

from html import escape
from typing import List, Sequence

from signatures.findings import SEVERITIES, Finding
from signatures.formats.text import printable
from signatures.report.layout import (
    BADGE,
    BADGE_ROW,
    CHARACTER,
    CULPRITS,
    TEXT_ROW,
    Layout,
    Point,
    Spot,
    arrange,
    culprit_height,
    message,
)
from signatures.report.picture import Box, Key, Line, Picture, Port
from signatures.report.words import joined, last, middle


def svg(picture: Picture, title: str) -> str:
    """The drawing as one <svg> element; `title` is what a screen reader says."""
    layout = arrange(picture)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {layout.width:.0f} {layout.height:.0f}" '
        f'style="max-width:{layout.width:.0f}px;min-width:{layout.width * 0.72:.0f}px" aria-label="{_safe(title)}">'
    ]
    parts += [_text(x + 2, 14, "column", name) for x, name in layout.headings]
    plain = [place for place, line in enumerate(picture.lines) if not line.leak]
    leaks = [place for place, line in enumerate(picture.lines) if line.leak]  # on top of the others
    parts += [_line(picture, layout, place) for place in (*plain, *leaks)]
    for place, port in picture.inputs.items():
        parts += _input(layout.spots[Key("input", place)], port)
    for place, box in picture.boxes.items():
        parts += _box(layout.spots[Key("stage", place)], box)
    for place, port in picture.outputs.items():
        parts += _output(layout.spots[Key("output", place)], port)
    return "\n".join([*parts, "</svg>"])


def _line(picture: Picture, layout: Layout, place: int) -> str:
    line = picture.lines[place]
    hint = _hint(picture, line)
    kind = " leak" if line.leak else f" {picture.inputs[line.source.place].role}" if line.source.kind == "input" else ""
    return (
        f'<path class="line{kind}{" hidden" if line.hidden else ""}" '
        f'd="{_curve(layout.paths[place])}">{hint}</path>'
    )


def _curve(path: Sequence[Point]) -> str:
    """Level where it leaves and arrives, and straight through the columns that it passes."""
    told = f"M{path[0][0]:.1f} {path[0][1]:.1f}"
    for (x0, y0), (x1, y1) in zip(path[1::2], path[2::2]):
        half = (x0 + x1) / 2
        told += f"L{x0:.1f} {y0:.1f}C{half:.1f} {y0:.1f} {half:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
    return told


def _hint(picture: Picture, line: Line) -> str:
    if line.hidden:
        return "<title>through the shape of a tensor, or a variable or table that the same request writes</title>"
    name = picture.inputs[line.source.place].name if line.source.kind == "input" else ""
    return f"<title>{_safe(name)}</title>" if name else ""


def _input(spot: Spot, port: Port) -> List[str]:
    name = middle(port.name, 34 if port.type else int((spot.width - 38) / CHARACTER))
    unused = "" if port.used else " unused"
    room = int((spot.width - 34 - len(name) * CHARACTER) / CHARACTER)
    parts = [
        f'<g class="port {port.role}{unused}{_severity(port.findings)}">'
        f"<title>{_safe(port.name)}: {_safe(port.type)}, {port.role}{_told(port.findings)}"
        f"{'' if port.used else ', changes no output'}</title>",
        _rectangle(spot, 12),
        f'<circle cx="{spot.x + 13:.1f}" cy="{spot.middle:.1f}" r="4.5"/>',
        _text(spot.x + 25, spot.middle + 4, "name", name),
        _text(spot.x + spot.width - 10, spot.middle + 4, "type end", middle(port.type, max(room, 1))),
    ]
    if port.findings:
        parts.append(_badge(spot.x - BADGE - 6, spot.y + 3.5, port.findings))
    return [*parts, "</g>"]


def _output(spot: Spot, port: Port) -> List[str]:
    parts = [
        f'<g class="port output{_severity(port.findings)}"><title>{_safe(port.name)}: {_safe(port.type)}'
        f"{_told(port.findings)}</title>",
        _rectangle(spot, 10),
        _text(spot.x + 14, spot.y + 17, "name", middle(port.name, 30)),
        _text(spot.x + 14, spot.y + 32, "type", middle(port.type, 30)),
    ]
    if port.findings:
        parts.append(_badge(spot.x + spot.width - BADGE - 4, spot.y - 10, port.findings))
    return [*parts, "</g>"]


def _box(spot: Spot, box: Box) -> List[str]:
    found = tuple(each for _, findings in box.culprits for each in findings)
    fits = int((spot.width - 24) / CHARACTER)
    told = f"{box.title}: {' → '.join(box.ops)} ({box.note})"
    kind = "stage single" if box.single else "stage"
    parts = [f'<g class="{kind}{_severity(found)}"><title>{_safe(told)}{_told(found)}</title>']
    parts.append(_rectangle(spot, 6 if box.single else 9))
    rows = sum(culprit_height(each) for _, each in box.culprits[:CULPRITS])
    middle_of_rest = spot.y + (spot.height - rows) / 2
    if box.single:
        parts.append(_text(spot.x + 12, middle_of_rest + 4, "ops", middle(box.short, fits)))
    else:
        title = box.title or " → ".join(box.ops[:1])
        parts.append(_text(spot.x + 12, middle_of_rest - 14, "title", last(title, fits - 1)))
        parts.append(_text(spot.x + 12, middle_of_rest + 4, "ops", joined(box.ops, " · ", fits)))
        parts.append(_text(spot.x + 12, middle_of_rest + 21, "type", middle(box.note, fits)))
    y = spot.y + spot.height - rows
    for name, findings in box.culprits[:CULPRITS]:
        parts.append(_badge(spot.x + 10, y, findings))
        parts.append(_text(spot.x + 17 + BADGE, y + 12, "culprit", last(name, fits - 9)))
        for nth, line in enumerate(message(findings[0])):
            parts.append(_text(spot.x + 12, y + BADGE_ROW + 8 + TEXT_ROW * nth, "told", line))
        y += culprit_height(findings)
    if len(box.culprits) > CULPRITS:
        parts.append(_text(spot.x + spot.width - 10, spot.y + 16, "type end", f"+{len(box.culprits) - CULPRITS} more"))
    return [*parts, "</g>"]


def _badge(x: float, y: float, findings: Sequence[Finding]) -> str:
    code = findings[0].rule
    return (
        f'<g class="badge{_severity(findings)}"><rect x="{x:.1f}" y="{y:.1f}" width="{BADGE}" height="17" rx="4"/>'
        + _text(x + BADGE / 2, y + 12.5, "code", code)
        + "</g>"
    )


def _severity(findings: Sequence[Finding]) -> str:
    worst = min((SEVERITIES.index(each.severity) for each in findings), default=None)
    return "" if worst is None else f" {SEVERITIES[worst]}"


def _told(findings: Sequence[Finding]) -> str:
    return "".join(f"\n{each.rule}: {_safe(each.message)}" for each in dict.fromkeys(findings))


def _rectangle(spot: Spot, radius: int) -> str:
    place = f'x="{spot.x + 1:.1f}" y="{spot.y:.1f}" width="{spot.width:.1f}" height="{spot.height:.1f}"'
    return f'<rect {place} rx="{radius}"/>'


def _text(x: float, y: float, kind: str, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{_safe(text)}</text>'


def _safe(text: str) -> str:
    """Text of a stranger's model inside XML, which knows no control characters."""
    return escape(printable(text))
