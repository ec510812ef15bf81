"""How models learned, for whom they are good, and how far they are apart: drawings for one evaluation or many seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pipeline.evaluation.aspects import Ends, Learning
from pipeline.evaluation.drawing import Palette, Plot, svg
from signatures.plots import TEXT


@dataclass(frozen=True)
class Point:
    """A figure, the interval it lies in, and what the single seeds gave."""

    value: float
    interval: Optional[Ends] = None
    seeds: Tuple[float, ...] = ()


def learning_plots(learned: Mapping[str, Sequence[Learning]], colours: Palette) -> List[Plot]:
    """Loss and the figure on the validation part, by epoch and by processor time; one line a model and seed."""
    known = {name: [each for each in curves if each.loss] for name, curves in learned.items()}
    known = {name: curves for name, curves in known.items() if curves}
    if not known:
        return []
    alone = len(known) == 1
    monitors = dict.fromkeys(curve.monitor for curves in known.values() for curve in curves)
    found = []
    for by in ("epoch", "processor time"):
        title = f"Loss by {by}"
        words = "Mean loss of each epoch" + ("." if alone else ", over that of the first: losses are not comparable.")
        drawn = _lines(title, known, by, lambda curve: _losses(curve, alone), colours)
        found += [] if drawn is None else [Plot(title, words, drawn)]
        for monitor in monitors:
            own = {n: [c for c in curves if c.monitor == monitor] for n, curves in known.items()}
            title = f"Validation {monitor} by {by}"
            drawn = _lines(title, own, by, lambda curve: curve.figure, colours)
            found += [] if drawn is None else [Plot(title, "The dot is the epoch that is kept.", drawn)]
    return found


def slice_plot(
    title: str, names: Sequence[str], figure: str, values: Mapping[str, Sequence[Optional[Point]]], colours: Palette
) -> Plot:
    """A figure in each slice; the models stand side by side in it."""

    def draw(axes: Axes) -> None:
        step = 0.7 / max(1, len(values))
        for turn, (name, points) in enumerate(values.items()):
            aside = (turn - (len(values) - 1) / 2) * step
            for place, point in enumerate(points):
                if point is not None:
                    _mark(axes, place + aside, point, colours.colour(name), upright=True)
        axes.set_xticks(range(len(names)), [_wrapped(name) for name in names], parse_math=False)
        axes.set(ylabel=figure, xlim=(-0.6, len(names) - 0.4), ylim=(0, None))
        axes.grid(visible=False, axis="x")

    caption = "Bars are 95 % of the resamples of users: few users, long bars."
    return Plot(title, caption, svg(title, draw, (6.4, 3.2)))


def points_plot(
    title: str, caption: str, points: Mapping[str, Point], colours: Mapping[str, str], lines: Mapping[str, float]
) -> Plot:
    """One line a name, from top to bottom: its value, its interval, and the single seeds as small dots.

    lines: marks across all, {what it is: where}.
    """

    def draw(axes: Axes) -> None:
        for place, (name, point) in enumerate(points.items()):
            _mark(axes, place, point, colours[name], upright=False)
        for place, (name, value) in enumerate(sorted(lines.items(), key=lambda line: line[1])):
            axes.axvline(value, color=TEXT, linewidth=0.9, linestyle=(0, (2, 3)))
            # Neighbours on two levels, so that their names do not lie on each other.
            axes.text(value, -0.75 - 0.42 * (place % 2), name, ha="center", va="bottom", fontsize=8, parse_math=False)
        axes.set_yticks(range(len(points)), list(points), parse_math=False)
        axes.set_ylim(len(points) - 0.4, -0.7)
        axes.grid(visible=False, axis="y")

    return Plot(title, caption, svg(title, draw, (5.2, 1.2 + 0.34 * len(points))))


def _mark(axes: Axes, place: float, point: Point, colour: str, *, upright: bool) -> None:
    """A dot with a bar, the seeds as paler dots beside it; upright bars are values on the y axis."""
    if point.interval is not None:
        along = axes.vlines if upright else axes.hlines
        along(place, *point.interval, color=colour, linewidth=2.2, alpha=0.55)
    for seed in point.seeds if len(point.seeds) > 1 else ():
        spot = (place, seed) if upright else (seed, place)
        axes.plot(*spot, marker="o", markersize=3.2, color=colour, alpha=0.7, markeredgewidth=0)
    spot = (place, point.value) if upright else (point.value, place)
    axes.plot(*spot, marker="D" if len(point.seeds) > 1 else "o", markersize=5.5, color=colour)


def _lines(
    title: str,
    known: Mapping[str, Sequence[Learning]],
    by: str,
    values: Callable[[Learning], Tuple[float, ...]],
    colours: Palette,
) -> Optional[str]:
    """None where no run counted its time."""
    pairs = [(name, curve) for name, curves in known.items() for curve in curves]
    pairs = [(name, curve) for name, curve in pairs if by == "epoch" or curve.cpu_seconds]
    if not pairs:
        return None
    several = {name: len(curves) > 1 for name, curves in known.items()}

    def draw(axes: Axes) -> None:
        for name, curve in pairs:
            across = tuple(range(1, len(curve.loss) + 1)) if by == "epoch" else curve.cpu_seconds
            look = {**colours.line(name), **({"linewidth": 1.1, "alpha": 0.8} if several[name] else {})}
            axes.plot(across, values(curve), **look)
            if 1 <= curve.best_epoch <= len(curve.loss):
                kept = curve.best_epoch - 1
                axes.plot(across[kept], values(curve)[kept], "o", markersize=4.5, color=look["color"])
        axes.set(xlabel="epoch" if by == "epoch" else "processor seconds", xlim=(0, None))
        if by == "epoch":
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    return svg(title, draw)


def _losses(curve: Learning, alone: bool) -> Tuple[float, ...]:
    first = curve.loss[0]
    return curve.loss if alone or not first else tuple(loss / first for loss in curve.loss)


def _wrapped(name: str) -> str:
    """At the comma, or before the last two words, as the labels stand side by side."""
    if ", " in name:
        return name.replace(", ", "\n", 1)
    words: List[str] = name.rsplit(" ", 2)
    return "\n".join([words[0], " ".join(words[1:])]) if len(words) == 3 else name


def by_slicing(names: Sequence[Tuple[str, str]]) -> Dict[str, List[str]]:
    """(way to divide, slice) pairs in order, as {way: slices}."""
    found: Dict[str, List[str]] = {}
    for way, name in names:
        if name not in found.setdefault(way, []):
            found[way].append(name)
    return found
