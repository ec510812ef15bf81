"""Drawings for a page: SVG that takes its text colour from the page, so that light and dark read well."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, Tuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from signatures import plots

_COLOURS = ("#2f7ed8", "#e8743b", "#17a673", "#a25ddc", "#c99700", "#e0457b", "#0fa3b1", "#8d6e53")
_GREYS = ("#8a9099", "#5f6670", "#aab0b8", "#747b85")
_DASHES: Tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))


@dataclass(frozen=True)
class Plot:
    """One drawing with what to look for in it."""

    title: str
    caption: str
    svg: str
    wide: bool = False


@dataclass(frozen=True)
class Palette:
    """A colour and a line for each name, the same in every plot and table of a page."""

    models: Tuple[str, ...]
    baselines: Tuple[str, ...]
    """In grey: they are there to be beaten."""

    def colour(self, name: str) -> str:
        if name in self.baselines:
            return _GREYS[self.baselines.index(name) % len(_GREYS)]
        return _COLOURS[self.models.index(name) % len(_COLOURS)]

    def line(self, name: str) -> Dict[str, Any]:
        """Of matplotlib's `plot`; names beyond the colours get another dash."""
        if name in self.baselines:
            return {"color": self.colour(name), "linestyle": _DASHES[1], "linewidth": 1.6}
        turn = self.models.index(name) // len(_COLOURS)
        return {"color": self.colour(name), "linestyle": _DASHES[turn % len(_DASHES)], "linewidth": 2.0}


def svg(title: str, draw: Callable[[Axes], None], size: Tuple[float, float] = (4.6, 3.0)) -> str:
    """One set of axes, drawn on by `draw`; size in inches."""
    return figure_svg(title, lambda figure: draw(figure.add_subplot()), size)


def figure_svg(title: str, draw: Callable[[Figure], None], size: Tuple[float, float]) -> str:
    """SVG to stand in a page, with ids that no other drawing of the page has."""

    def make() -> Figure:
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        return figure

    return own_ids(plots.in_page(make, title), re.sub(r"\W+", "-", title))


def own_ids(svg: str, prefix: str) -> str:
    """The same drawing with this in front of every id and of every reference to one."""
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    return svg.replace('href="#', f'href="#{prefix}-').replace("url(#", f"url(#{prefix}-")
