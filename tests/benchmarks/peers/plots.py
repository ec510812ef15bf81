"""The drawing of the ratios: a bar for each comparison on a logarithmic axis, its quartiles, and the goal as a mark."""

from __future__ import annotations

import io
import re
from typing import Any, Sequence

import matplotlib
from matplotlib.figure import Figure

from tests.benchmarks.peers.results import Result

_TEXT, _GRID = "#010203", "#040506"
"""Stand for the page's colours until the SVG is written."""
COLOURS = {"reached": "#17a673", "below": "#e8743b", "": "#2f7ed8"}
"""By state."""
_STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "peers", "font.family": "sans-serif", "font.size": 9.5,
    "axes.titlesize": 10, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.axisbelow": True,
    "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False, "legend.frameon": False,
    "grid.linewidth": 0.7,
}
_COLOURS = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color")
_LINES = ("axes.edgecolor", "grid.color")
_TICKS = (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)


def svg(results: Sequence[Result]) -> str:
    """To stand in a page: it takes its text colour from there, and holds no address."""
    style = {**_STYLE, **dict.fromkeys(_COLOURS, _TEXT), **dict.fromkeys(_LINES, _GRID),
             "axes.facecolor": "none", "figure.facecolor": "none"}
    written = io.StringIO()
    with matplotlib.rc_context(style):
        _figure(results).savefig(written, format="svg", metadata={"Date": None})
    text = written.getvalue()
    text = text[text.index("<svg"):].replace(_TEXT, "currentColor").replace(_GRID, "var(--grid)")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    return re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)


def png(results: Sequence[Result]) -> bytes:
    """A picture on white, for a README."""
    drawn = io.BytesIO()
    with matplotlib.rc_context({**_STYLE, "grid.color": "#dfe3e9"}):
        _figure(results).savefig(drawn, format="png", dpi=130)
    return drawn.getvalue()


def _figure(results: Sequence[Result]) -> Figure:
    figure = Figure(figsize=(10.5, 1.3 + 0.42 * len(results)), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title("Times as fast as the peer (bytes: times fewer)")
    for place, result in enumerate(results):
        low, high = result.quartiles
        spread = [[max(0.0, result.ratio - low)], [max(0.0, high - result.ratio)]]
        axes.barh(place, result.ratio, height=0.62, color=COLOURS[result.state], xerr=spread, ecolor="#8a9099")
        axes.annotate(f"{result.ratio:#.3g}", (max(result.ratio, high), place), xytext=(5, 0),
                      textcoords="offset points", va="center", fontsize=8.5)
        if result.goal is not None:
            axes.plot([result.goal] * 2, [place - 0.42, place + 0.42], color="#d13a3a", linewidth=2)
    axes.axvline(1, color="#8a9099", linewidth=1, linestyle="--")
    most = max([2.0, *(max(each.ratio, each.quartiles[1], each.goal or 0) for each in results)])
    least = min([1.0, *(each.quartiles[0] for each in results)])
    axes.set(xscale="log", xlim=(0.8 * least, 1.35 * most), ylim=(len(results) - 0.4, -0.6))
    axes.set_xticks([tick for tick in _TICKS if 0.8 * least <= tick <= 1.35 * most], minor=False)
    axes.set_xticks([], minor=True)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_yticks(range(len(results)), [result.title for result in results])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.set_xlabel("red mark: the goal; grey: quartiles; dashed: as fast as the peer")
    return figure
