"""The drawing of the ratios: a bar for each comparison on a logarithmic axis, its quartiles, and the goal as a mark."""

from __future__ import annotations

from functools import partial
from typing import Sequence

from matplotlib.figure import Figure

from signatures import plots
from tests.benchmarks.peers.results import Result

COLOURS = {"reached": "#17a673", "below": "#e8743b", "": "#2f7ed8"}
"""By state."""
_TICKS = (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)


def svg(results: Sequence[Result]) -> str:
    """To stand in a page; see `signatures.plots`."""
    return plots.in_page(partial(_figure, results), "peers")


def png(results: Sequence[Result]) -> bytes:
    """A picture on white, for a README."""
    return plots.on_white(partial(_figure, results))


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
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("red mark: the goal; grey: quartiles; dashed: as fast as the peer")
    return figure
