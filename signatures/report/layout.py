"""Where everything of a picture goes: inputs on the left, stages by how far they are from them, then the outputs.

A line that passes a column gets a place in it, so that it never runs behind a box and seems to come out of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from typing import Dict, List, Mapping, Sequence, Tuple

from signatures.findings import Finding
from signatures.formats.text import printable
from signatures.report.picture import Key, Picture

CHARACTER = 6.65
"""Width of a character of the 11 px monospaced type that all names are set in."""
ROW, GAP, COLUMN, TOP = 24.0, 8.0, 62.0, 34.0
INPUT_LIMIT, SINGLE_LIMIT, STAGE_LIMIT, CULPRIT_WIDTH = 46, 32, 30, 304.0
BADGE, BADGE_ROW, TEXT_ROW = 52.0, 22.0, 13.0
CULPRITS = 3
"""So many are shown in one box, each with its finding."""

Point = Tuple[float, float]


@dataclass
class Spot:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """Of its height."""
        return self.y + self.height / 2


@dataclass(frozen=True)
class Layout:
    """Where each thing is, and how large the whole is."""

    spots: Mapping[Key, Spot]
    paths: Sequence[Sequence[Point]]
    """Per line of the picture: straight from the first point to the second, a curve to the third, straight …"""
    headings: Sequence[Tuple[float, str]]
    width: float
    height: float


def arrange(picture: Picture) -> Layout:
    """The layout of a picture, in pixels."""
    columns = _columns(picture)
    chains = _chains(picture, columns)
    before: Dict[Key, List[Key]] = {}
    for chain in chains:
        for source, target in zip(chain, chain[1:]):
            if source not in before.setdefault(target, []):
                before[target].append(source)
    x = BADGE + 8 if any(port.findings for port in picture.inputs.values()) else 0.0
    spots: Dict[Key, Spot] = {}
    edges: Dict[Key, float] = {}
    headings: List[Tuple[float, str]] = []
    for column in columns:
        if column:
            _stack(picture, spots, before, column, x)
            headings.append((x, _heading(picture, column)))
            x += max(spots[key].width for key in column)
            edges.update(dict.fromkeys(column, x))
            x += COLUMN
    height = max((spot.y + spot.height for spot in spots.values()), default=TOP) + 6
    new = [each for place, each in enumerate(headings) if place == 0 or headings[place - 1][1] != each[1]]
    return Layout(spots, _paths(chains, before, spots, edges), new, max(x - COLUMN + 4, 1), height)


def _columns(picture: Picture) -> List[List[Key]]:
    """What stands in each column."""
    depth = max((box.layer for box in picture.boxes.values()), default=0)
    columns: List[List[Key]] = [[Key("input", place) for place in picture.inputs]]
    for layer in range(1, depth + 1):
        columns.append([Key("stage", place) for place, box in picture.boxes.items() if box.layer == layer])
    return [*columns, [Key("output", place) for place in picture.outputs]]


def _chains(picture: Picture, columns: List[List[Key]]) -> List[List[Key]]:
    """Per line, what it leads through. Adds to the columns a way for each source that is led through them."""
    column = {key: place for place, keys in enumerate(columns) for key in keys}
    ways: Dict[Tuple[Key, int], Key] = {}
    chains: List[List[Key]] = []
    for line in picture.lines:
        chain = [line.source]
        for place in range(column[line.source] + 1, column[line.target]):
            if (line.source, place) not in ways:
                ways[line.source, place] = Key("way", len(ways))
                columns[place].append(ways[line.source, place])
            chain.append(ways[line.source, place])
        chains.append([*chain, line.target])
    return chains


def _heading(picture: Picture, column: Sequence[Key]) -> str:
    kinds = {key.kind for key in column}
    if "stage" not in kinds:
        return "inputs" if "input" in kinds else "outputs"
    alone = all(picture.boxes[key.place].single for key in column if key.kind == "stage")
    return "each on its own" if alone else "where they meet"


def _width(picture: Picture, key: Key) -> float:
    if key.kind == "stage":
        box = picture.boxes[key.place]
        if box.culprits:
            return CULPRIT_WIDTH
        if box.single:
            widest = max(len(each.short) for each in picture.boxes.values() if each.single)
            return min(widest, SINGLE_LIMIT) * CHARACTER + 26
        return min(max(len(box.title) + 2, len(box.note), len(" · ".join(box.ops)), 12), STAGE_LIMIT) * CHARACTER + 26
    if key.kind == "input":
        widest = max(len(port.name) + len(port.type) for port in picture.inputs.values())
        return min(widest, INPUT_LIMIT) * CHARACTER + 48
    if key.kind == "output":
        port = picture.outputs[key.place]
        return min(max(len(port.name), len(port.type)), 30) * CHARACTER + 30
    return 0.0


def _height(picture: Picture, key: Key, incoming: int) -> float:
    if key.kind == "stage":
        box = picture.boxes[key.place]
        rows = max(ROW if box.single else 64.0, min(incoming, 40) * 5.0)
        return rows + sum(culprit_height(found) for _, found in box.culprits[:CULPRITS])
    return {"input": ROW, "output": 40.0}.get(key.kind, 2.0)


def culprit_height(findings: Tuple[Finding, ...]) -> float:
    """What a culprit takes of its box: a row for its name, and what is said of it."""
    return BADGE_ROW + TEXT_ROW * len(message(findings[0])) + 5


def message(finding: Finding) -> List[str]:
    """What is wrong, in lines that fit into the box of a culprit."""
    told, _ = finding.told_and_cure()
    return wrap(printable(told), int((CULPRIT_WIDTH - 24) / CHARACTER), max_lines=4, placeholder=" …")


def _stack(
    picture: Picture, spots: Dict[Key, Spot], before: Mapping[Key, List[Key]], keys: Sequence[Key], x: float
) -> None:
    """Puts things into one column, each as near to the middle of what it takes as the others allow."""
    wide = max(_width(picture, key) for key in keys)
    wanted = {key: _wanted(spots, before.get(key, [])) for key in keys}
    ordered = sorted(keys, key=lambda key: wanted[key])  # stable: inputs stay as they are
    heights = [_height(picture, key, len(before.get(key, []))) for key in ordered]
    large = [key.kind == "output" or (key.kind == "stage" and not picture.boxes[key.place].single) for key in ordered]
    tops = [0.0]
    for place in range(len(ordered) - 1):
        tops.append(tops[place] + heights[place] + (2 * GAP if large[place] else GAP))
    fitted = _rising([wanted[key] - heights[place] / 2 - tops[place] for place, key in enumerate(ordered)])
    for place, key in enumerate(ordered):
        width = wide if key.kind == "way" else _width(picture, key)
        spots[key] = Spot(x, max(fitted[place], TOP) + tops[place], width, heights[place])


def _wanted(spots: Mapping[Key, Spot], sources: Sequence[Key]) -> float:
    return sum(spots[key].middle for key in sources) / len(sources) if sources else TOP


def _rising(values: Sequence[float]) -> List[float]:
    """The numbers nearest to these of which none is smaller than the one before."""
    runs: List[Tuple[float, int]] = []
    for value in values:
        runs.append((value, 1))
        while len(runs) > 1 and runs[-2][0] > runs[-1][0]:
            (second, m), (first, n) = runs.pop(), runs.pop()
            runs.append(((first * n + second * m) / (n + m), n + m))
    return [mean for mean, count in runs for _ in range(count)]


def _paths(
    chains: Sequence[Sequence[Key]],
    before: Mapping[Key, List[Key]],
    spots: Mapping[Key, Spot],
    edges: Mapping[Key, float],
) -> List[List[Point]]:
    """Lines leave from the middle of a right side and arrive spread over a left one, in the order they come from.

    edges: where the column of a thing ends; no line bends before it has left its column.
    """
    arrivals: Dict[Tuple[Key, Key], float] = {}
    for target, sources in before.items():
        spot = spots[target]
        for nth, source in enumerate(sorted(sources, key=lambda key: spots[key].middle)):
            arrivals[source, target] = spot.y + spot.height * (nth + 1) / (len(sources) + 1)
    paths: List[List[Point]] = []
    for chain in chains:
        path: List[Point] = [(spots[chain[0]].x + spots[chain[0]].width, spots[chain[0]].middle)]
        for source, target in zip(chain, chain[1:]):
            path += [(edges[source], spots[source].middle), (spots[target].x, arrivals[source, target])]
        paths.append(path)
    return paths
