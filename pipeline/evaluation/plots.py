"""The curves of an evaluation: how the ranking goes with k, ROC, ranks, reliability and scores."""

from __future__ import annotations

from typing import Dict, List, Optional

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.baselines import registry as baselines
from pipeline.evaluation.drawing import Palette, Plot, figure_svg, svg
from pipeline.evaluation.results import POPULARITY, Curve, Evaluation, Ranking, Scores
from signatures.plots import TEXT


def palette(evaluation: Evaluation) -> Palette:
    """Baselines in grey."""
    known = tuple(evaluation.answers)
    return Palette(
        tuple(name for name in known if name not in baselines.NAMES),
        tuple(name for name in known if name in baselines.NAMES),
    )


def plots(evaluation: Evaluation, colours: Palette) -> List[Plot]:
    """All that the evaluation has data for, in reading order."""
    found: List[Optional[Plot]] = []
    sampled: Dict[str, Ranking] = {n: a.sampled for n, a in evaluation.answers.items() if a.sampled is not None}
    full: Dict[str, Ranking] = {n: a.full for n, a in evaluation.answers.items() if a.full is not None}
    for rankings, title in ((sampled, "sampled lists"), (full, "full ranking")):
        if rankings:
            found.append(_at_k_plot(colours, rankings, f"HR at k, {title}", "hr_curve"))
            found.append(_at_k_plot(colours, rankings, f"NDCG at k, {title}", "ndcg_curve"))
    if sampled:
        found.append(_roc_plot(colours, {n: r.roc for n, r in sampled.items()}, "ROC, sampled lists"))
        found.append(_rank_plot(colours, sampled))
    for task, question in evaluation.questions.items():
        figures = {n: a.tasks[task] for n, a in evaluation.answers.items() if task in a.tasks}
        if not question.drawn_negatives:
            found.append(_roc_plot(colours, {n: f.roc for n, f in figures.items()}, f"ROC, task {task}"))
        found.append(_reliability_plot(colours, {n: f.reliability for n, f in figures.items()}, task))
    found.append(_score_plot(colours, {n: r.scores for n, r in sampled.items()}))
    return [plot for plot in found if plot is not None]


def _at_k_plot(colours: Palette, rankings: Dict[str, Ranking], title: str, field: str) -> Plot:
    def draw(axes: Axes) -> None:
        for name, ranking in rankings.items():
            values = getattr(ranking, field)
            axes.plot(range(1, len(values) + 1), values, **colours.line(name))
        axes.set(xlabel="k", xlim=(0, None), ylim=(0, None))

    caption = "Higher is better; at every k the distance to popularity is what a model adds."
    return Plot(title, caption, svg(title, draw))


def _roc_plot(colours: Palette, curves: Dict[str, Optional[Curve]], title: str) -> Optional[Plot]:
    known = {name: curve for name, curve in curves.items() if curve is not None}
    if not known:
        return None

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=TEXT, linewidth=0.8, linestyle=":")
        for name, curve in known.items():
            axes.plot(curve.x, curve.y, **colours.line(name))
        axes.set(xlabel="negatives above the threshold", ylabel="positives above it", xlim=(0, 1), ylim=(0, 1.01))

    return Plot(title, "The area under a curve is its AUC; the dotted line is chance.", svg(title, draw))


def _reliability_plot(colours: Palette, curves: Dict[str, Optional[Curve]], task: str) -> Optional[Plot]:
    known = {name: curve for name, curve in curves.items() if curve is not None}
    if not known:
        return None
    title = f"Reliability, task {task}"
    largest = max(max((*curve.x, *curve.y)) for curve in known.values())

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=TEXT, linewidth=0.8, linestyle=":")
        for name, curve in known.items():
            axes.plot(curve.x, curve.y, marker="o", markersize=3.5, **colours.line(name))
        end = min(1.02, largest * 1.05 + 0.01)
        axes.set(xlabel="predicted probability", ylabel="observed share", xlim=(0, end), ylim=(0, end))

    return Plot(title, "On the dotted line a promise is kept; below it the model promises too much.", svg(title, draw))


def _rank_plot(colours: Palette, rankings: Dict[str, Ranking]) -> Plot:
    title = "Rank of the positive, sampled lists"

    def draw(axes: Axes) -> None:
        for name, ranking in rankings.items():
            share = [count / ranking.lists for count in ranking.ranks.counts]
            axes.stairs(share, ranking.ranks.edges, **colours.line(name))
        axes.set(xlabel="rank", ylabel="share of lists", xlim=(0, None), ylim=(0, None))

    caption = "Mass on the left is good; a bump on the right is items that the model never finds."
    return Plot(title, caption, svg(title, draw))


def _score_plot(colours: Palette, scores: Dict[str, Optional[Scores]]) -> Optional[Plot]:
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
            own = colours.colour(name)
            axes.stairs(positives, spread.edges, fill=True, color=own, alpha=0.45)
            axes.stairs(negatives, spread.edges, color=TEXT, linewidth=1.2)
            axes.set_title(name, parse_math=False)
            scale = "training events" if name == POPULARITY else "score" if name in colours.baselines else "logit"
            axes.set(xlabel=scale, yticks=[])

    caption = "The less the two overlap, the better they are told apart."
    return Plot(title, caption, figure_svg(title, draw, (3.6 * columns, 2.3 * lines)), wide=columns > 1)
