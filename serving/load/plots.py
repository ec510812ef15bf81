"""The drawing of a load test: the latency of the slowest few, and how latency and rate went over time."""

from __future__ import annotations

from functools import partial
from typing import List

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from serving.load.result import Result
from signatures import plots

_BLUE, _ORANGE, _RED = "#2f7ed8", "#e8743b", "#d13a3a"


def svg(result: Result) -> str:
    """To stand in a page; see `signatures.plots`."""
    return plots.in_page(partial(_figure, result), "load")


def png(result: Result) -> bytes:
    """A picture on white."""
    return plots.on_white(partial(_figure, result))


def _figure(result: Result) -> Figure:
    figure = Figure(figsize=(10.5, 6.4), layout="constrained")
    grid = figure.add_gridspec(2, 2)
    _percentiles(figure.add_subplot(grid[0, 0]), result)
    _rates(figure.add_subplot(grid[0, 1]), result)
    _over_time(figure.add_subplot(grid[1, :]), result)
    return figure


def _percentiles(axes: Axes, result: Result) -> None:
    """Against 1 / (1 - quantile) on a logarithmic axis, which gives the slowest few their room."""
    axes.set_title("Latency by percentile")
    for latency, name, colour in ((result.service, "from sending", _ORANGE), (result.latency, "from when due", _BLUE)):
        if latency is not None and (result.offered_per_second is not None or latency is result.latency):
            quantiles = [(q, value) for q, value in latency.curve if q < 1 and (1 - q) * result.answered >= 1]
            axes.plot([1 / (1 - q) for q, _ in quantiles], [v for _, v in quantiles], color=colour, label=name)
    ticks = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999)
    axes.set(xscale="log", ylabel="ms", ylim=(0, None))
    axes.set_xticks([1 / (1 - q) for q in ticks], ["0", "50", "90", "99", "99.9", "99.99"], minor=False)
    axes.set_xticks([], minor=True)
    axes.set(xlabel="% of requests were at least as fast", xlim=(1, max(10, result.answered)))
    _legend(axes)


def _rates(axes: Axes, result: Result) -> None:
    axes.set_title("Requests a second, by when they were due")
    seconds = [piece.second for piece in result.timeline]
    seconds += [piece.second + piece.seconds for piece in result.timeline[-1:]]
    axes.plot(seconds, _rate(result, "answered"), color=_BLUE, drawstyle="steps-post", label="answered")
    if result.failures:
        axes.plot(seconds, _rate(result, "failed"), color=_RED, drawstyle="steps-post", label="failed")
    if result.offered_per_second is not None:
        axes.axhline(result.offered_per_second, color=_ORANGE, linestyle="--", linewidth=1, label="offered")
    most = max([*_rate(result, "answered"), *_rate(result, "failed"), result.offered_per_second or 0, 1])
    axes.set(xlabel="s since the warm-up", xlim=(0, None), ylim=(0, 1.1 * most))
    _legend(axes)


def _over_time(axes: Axes, result: Result) -> None:
    axes.set_title("Latency over time")
    for field, colour in (("p99", _ORANGE), ("p50", _BLUE)):
        points = [(piece.second, getattr(piece, field)) for piece in result.timeline]
        axes.plot([s for s, v in points if v is not None], [v for _, v in points if v is not None], color=colour,
                  label=field, marker="o", markersize=2.5, linewidth=1.4)
    axes.set(xlabel="s since the warm-up", ylabel="ms", xlim=(0, None), ylim=(0, None))
    _legend(axes)


def _rate(result: Result, field: str) -> List[float]:
    """A second; the last slice may be cut short by the end of the test. Its value stands twice, to end its step."""
    rates = [getattr(piece, field) / piece.seconds for piece in result.timeline]
    return rates + rates[-1:]


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="best", fontsize=8.5)
