"""The curves of an evaluation as SVG that takes its text colour from the page, so that light and dark read well."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Tuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.evaluation.results import POPULARITY, Curve, Evaluation, Ranking, Scores

_TEXT, _GRID = "#010203", "#040506"
"""Stand for the page's colours until the SVG is written."""
_COLOURS = ("#2f7ed8", "#e8743b", "#17a673", "#a25ddc", "#c99700", "#e0457b", "#0fa3b1", "#8d6e53")
_DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
_STYLE: Any = {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9.5, "axes.titlesize": 10,
    "axes.titleweight": "bold", "text.color": _TEXT,
    "axes.labelcolor": _TEXT, "xtick.color": _TEXT, "ytick.color": _TEXT,
    "axes.edgecolor": _GRID,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": _GRID, "grid.linewidth": 0.7,
    "axes.axisbelow": True, "axes.titlelocation": "left", "axes.facecolor": "none", "figure.facecolor": "none",
}


@dataclass(frozen=True)
class Plot:
    """One drawing with what to look for in it."""

    title: str
    caption: str
    svg: str
    wide: bool = False


def colour(evaluation: Evaluation, name: str) -> str:
    """Of a model, the same in every plot and table."""
    if name == POPULARITY:
        return "#8a9099"
    models = [model for model in evaluation.answers if model != POPULARITY]
    return _COLOURS[models.index(name) % len(_COLOURS)]


def plots(evaluation: Evaluation) -> List[Plot]:
    """All that the evaluation has data for, in reading order."""
    found: List[Optional[Plot]] = []
    sampled: Dict[str, Ranking] = {n: a.sampled for n, a in evaluation.answers.items() if a.sampled is not None}
    full: Dict[str, Ranking] = {n: a.full for n, a in evaluation.answers.items() if a.full is not None}
    for rankings, title in ((sampled, "sampled lists"), (full, "full ranking")):
        if rankings:
            found.append(_at_k_plot(evaluation, rankings, f"HR at k, {title}", "hr_curve"))
            found.append(_at_k_plot(evaluation, rankings, f"NDCG at k, {title}", "ndcg_curve"))
    if sampled:
        found.append(_roc_plot(evaluation, {n: r.roc for n, r in sampled.items()}, "ROC, sampled lists"))
        found.append(_rank_plot(evaluation, sampled))
    for task, question in evaluation.questions.items():
        figures = {n: a.tasks[task] for n, a in evaluation.answers.items() if task in a.tasks}
        if not question.drawn_negatives:
            found.append(_roc_plot(evaluation, {n: f.roc for n, f in figures.items()}, f"ROC, task {task}"))
        found.append(_reliability_plot(evaluation, {n: f.reliability for n, f in figures.items()}, task))
    found.append(_score_plot(evaluation, {n: r.scores for n, r in sampled.items()}))
    return [plot for plot in found if plot is not None]


def _at_k_plot(evaluation: Evaluation, rankings: Dict[str, Ranking], title: str, field: str) -> Plot:
    def draw(axes: Axes) -> None:
        for name, ranking in rankings.items():
            values = getattr(ranking, field)
            axes.plot(range(1, len(values) + 1), values, **_line(evaluation, name))
        axes.set(xlabel="k", xlim=(0, None), ylim=(0, None))

    caption = "Higher is better; at every k the distance to popularity is what a model adds."
    return Plot(title, caption, _svg(title, draw))


def _roc_plot(evaluation: Evaluation, curves: Dict[str, Optional[Curve]], title: str) -> Optional[Plot]:
    known = {name: curve for name, curve in curves.items() if curve is not None}
    if not known:
        return None

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=_TEXT, linewidth=0.8, linestyle=":")
        for name, curve in known.items():
            axes.plot(curve.x, curve.y, **_line(evaluation, name))
        axes.set(xlabel="negatives above the threshold", ylabel="positives above it", xlim=(0, 1), ylim=(0, 1.01))

    return Plot(title, "The area under a curve is its AUC; the dotted line is chance.", _svg(title, draw))


def _reliability_plot(evaluation: Evaluation, curves: Dict[str, Optional[Curve]], task: str) -> Optional[Plot]:
    known = {name: curve for name, curve in curves.items() if curve is not None}
    if not known:
        return None
    title = f"Reliability, task {task}"
    largest = max(max((*curve.x, *curve.y)) for curve in known.values())

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=_TEXT, linewidth=0.8, linestyle=":")
        for name, curve in known.items():
            axes.plot(curve.x, curve.y, marker="o", markersize=3.5, **_line(evaluation, name))
        end = min(1.02, largest * 1.05 + 0.01)
        axes.set(xlabel="predicted probability", ylabel="observed share", xlim=(0, end), ylim=(0, end))

    return Plot(title, "On the dotted line a promise is kept; below it the model promises too much.", _svg(title, draw))


def _rank_plot(evaluation: Evaluation, rankings: Dict[str, Ranking]) -> Plot:
    title = "Rank of the positive, sampled lists"

    def draw(axes: Axes) -> None:
        for name, ranking in rankings.items():
            share = [count / ranking.lists for count in ranking.ranks.counts]
            axes.stairs(share, ranking.ranks.edges, **_line(evaluation, name))
        axes.set(xlabel="rank", ylabel="share of lists", xlim=(0, None), ylim=(0, None))

    caption = "Mass on the left is good; a bump on the right is items that the model never finds."
    return Plot(title, caption, _svg(title, draw))


def _score_plot(evaluation: Evaluation, scores: Dict[str, Optional[Scores]]) -> Optional[Plot]:
    known = {name: spread for name, spread in scores.items() if spread is not None}
    if not known:
        return None
    title = "Scores of positives (filled) and negatives (line), sampled lists"
    columns = min(3, len(known))
    lines = -(-len(known) // columns)

    def draw(figure: Figure) -> None:
        for place, (name, spread) in enumerate(known.items(), 1):
            axes = figure.add_subplot(lines, columns, place)
            positives, negatives = (
                [count / max(1, sum(counts)) for count in counts] for counts in (spread.positives, spread.negatives)
            )
            own = colour(evaluation, name)
            axes.stairs(positives, spread.edges, fill=True, color=own, alpha=0.45)
            axes.stairs(negatives, spread.edges, color=_TEXT, linewidth=1.2)
            axes.set_title(name, parse_math=False)
            axes.set(xlabel="training events" if name == POPULARITY else "logit", yticks=[])

    caption = "The less the two overlap, the better they are told apart."
    return Plot(title, caption, _figure_svg(title, draw, (3.6 * columns, 2.3 * lines)), wide=columns > 1)


def _line(evaluation: Evaluation, name: str) -> Dict[str, Any]:
    models = [model for model in evaluation.answers if model != POPULARITY]
    turn = 0 if name == POPULARITY else models.index(name) // len(_COLOURS)
    dash = _DASHES[1] if name == POPULARITY else _DASHES[turn % len(_DASHES)]
    return {"color": colour(evaluation, name), "linestyle": dash, "linewidth": 1.6 if name == POPULARITY else 2.0}


def _svg(title: str, draw: Callable[[Axes], None]) -> str:
    return _figure_svg(title, lambda figure: draw(figure.add_subplot()), (4.6, 3.0))


def _figure_svg(title: str, draw: Callable[[Figure], None], size: Tuple[float, float]) -> str:
    """SVG to stand in a page: no address in it, and ids that no other drawing of the page has."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": title}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :].replace(_TEXT, "currentColor").replace(_GRID, "var(--grid)")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    return _own_ids(svg, re.sub(r"\W+", "-", title))


def _own_ids(svg: str, prefix: str) -> str:
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    return svg.replace('href="#', f'href="#{prefix}-').replace("url(#", f"url(#{prefix}-")
