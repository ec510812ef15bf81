"""A study as one page that needs no other file and no network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Dict, List, Mapping, Optional, Tuple

from markupsafe import Markup

from pipeline.evaluation.aspect_tables import cost_table
from pipeline.evaluation.cost import CANDIDATES
from pipeline.evaluation.curves import Point, learning_plots, points_plot, slice_plot
from pipeline.evaluation.drawing import Palette, Plot, own_ids
from pipeline.evaluation.plots import plots
from pipeline.evaluation.report import inlined, render
from pipeline.evaluation.words import in_words
from pipeline.studies import show, tables
from pipeline.studies.collect import Everything
from pipeline.studies.form import lower_is_better
from pipeline.studies.outcome import Result, Spread

_RUN = "#2f7ed8"


@dataclass(frozen=True)
class Setting:
    """What was asked of the runs of one data set and split, and the curves of their first seed."""

    name: str
    plots: List[Tuple[Plot, Markup]]
    words: List[str]
    colours: Dict[str, str]


def html(everything: Everything, result: Result) -> str:
    """The whole page, styles and drawings inside."""
    study = everything.study
    names = tuple(result.baselines)
    colours = Palette(tuple(study.runs), names)
    learned = {run: [done.answers["test"].answer.learning for done in everything.of(run)] for run in study.runs}
    figure = _slice_figure(everything)
    sliced = tables.sliced(everything, figure)
    values = {
        "study": study,
        "result": result,
        "seeds": result.seeds,
        "sentences": sentences(everything, result),
        "warnings": show.warnings(everything),
        "goals": show.goals(study, result),
        "figures": tables.figures(study, result),
        "figure_plots": inlined(_figure_plots(everything, result, colours)),
        "differences": tables.differences(study, result),
        "difference_plots": inlined(_difference_plots(everything, result)),
        "learning": inlined(learning_plots({n: [c for c in own if c] for n, own in learned.items()}, colours)),
        "slices": tables.slice_tables(sliced, figure),
        "slice_plots": inlined(_slice_plots(sliced, figure, colours)),
        "costs": cost_table(tables.costs(result.runs, CANDIDATES)),
        "settings": _settings(everything, colours),
        "colours": {name: colours.colour(name) for name in (*names, *study.runs)},
        "facts": facts(result),
    }
    return render("study.html", values)


def sentences(everything: Everything, result: Result) -> List[str]:
    """The answer, for whoever reads no table."""
    study, figure = everything.study, everything.study.figures[0]
    name = result.chosen if result.chosen is not None else next(iter(result.runs))
    reached = result.runs[name].figures.get(figure)
    said = [] if reached is None else [f"{figure} on the test part is {show.text(reached)}"]
    lead = f"On the validation part {name} has the best {study.chooser}" if result.chosen is not None else name
    beaten = [f"{values[figure]:.4f} of {other}" for other, values in result.baselines.items() if figure in values]
    if beaten:
        said.append(f"against {', '.join(beaten)}")
    return [f"{lead}: {', '.join(said)}."] if said else []


def facts(result: Result) -> Dict[str, str]:
    """What a reader needs to repeat it, besides the command."""
    minutes = f"{result.cpu_seconds / 60:,.0f} CPU minutes, {result.wall_minutes:,.0f} minutes"
    data = ", ".join(f"{name} ({fingerprint})" for name, fingerprint in result.data.items())
    return {"date": result.date, "training": minutes, "machine": result.machine, "data": data, **result.versions}


def _slice_figure(everything: Everything) -> str:
    known = [name for d in everything.done for each in d.answers["test"].answer.slices for name in each.figures]
    hits = [name for name in known if name.startswith("hr@")]
    return hits[0] if hits else "auc"


def _figure_plots(everything: Everything, result: Result, colours: Palette) -> List[Plot]:
    study, found = everything.study, []
    for figure in study.figures:
        points = _points({name: run.figures for name, run in result.runs.items()}, figure)
        lines = {name: values[figure] for name, values in result.baselines.items() if figure in values}
        goals = {goal[figure] for subject, goal in study.goals.items() if figure in goal and subject in study.runs}
        if len(goals) == 1:
            lines["goal"] = goals.pop()
        better = "Lower" if lower_is_better(figure) else "Higher"
        caption = f"{better} is better. Diamonds are means, dots the seeds, bars 95 % of the resamples of users."
        own = {name: colours.colour(name) for name in points}
        found += [points_plot(f"{figure}, test part", caption, points, own, lines)] if points else []
    return found


def _difference_plots(everything: Everything, result: Result) -> List[Plot]:
    found = []
    for figure in everything.study.figures:
        points = _points(result.differences, figure)
        caption = "Right of 0 the first of the pair has more."
        if points:
            title = f"Difference in {figure}"
            found.append(points_plot(title, caption, points, dict.fromkeys(points, _RUN), {"0": 0.0}))
    return found


def _points(values: Mapping[str, Mapping[str, Spread]], figure: str) -> Dict[str, Point]:
    found = {name: tables.point(own.get(figure)) for name, own in values.items()}
    return {name: point for name, point in found.items() if point is not None}


def _slice_plots(sliced: tables.Sliced, figure: str, colours: Palette) -> List[Plot]:
    found = []
    for by, (names, values) in sliced.items():
        points: Dict[str, List[Optional[Point]]] = {who: [tables.point(v) for v in own] for who, own in values.items()}
        found.append(slice_plot(f"{figure} by {by}", names, figure, points, colours))
    return found


def _settings(everything: Everything, colours: Palette) -> List[Setting]:
    found = []
    for number, (name, evaluation) in enumerate(everything.evaluations.items()):
        drawn = [replace(plot, svg=own_ids(plot.svg, f"setting{number}-")) for plot in plots(evaluation, colours)]
        own = {who: colours.colour(who) for who in evaluation.answers}
        found.append(Setting(name, inlined(drawn), in_words(evaluation), own))
    return found
