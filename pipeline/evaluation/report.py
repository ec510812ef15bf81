"""An evaluation for people: tables on the console, and one page that needs no other file and no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Tuple

import jinja2
from markupsafe import Markup
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from pipeline.evaluation import results as evaluations
from pipeline.evaluation.aspect_tables import cost_table, difference_table, slice_figure, slice_tables
from pipeline.evaluation.aspects import Learning
from pipeline.evaluation.curves import Point, by_slicing, learning_plots, slice_plot
from pipeline.evaluation.drawing import Palette, Plot
from pipeline.evaluation.plots import palette, plots
from pipeline.evaluation.results import Evaluation
from pipeline.evaluation.tables import Table, detail_tables, summary_sentence, summary_tables
from pipeline.evaluation.words import in_words
from signatures.files import write_whole

_TEMPLATES = Path(__file__).parent / "templates"


def save(evaluation: Evaluation, folder: Path, name: str = "evaluation") -> Tuple[Path, Path]:
    """Writes FOLDER/NAME.json and FOLDER/NAME.html, each whole or not at all. UsageError where it cannot."""
    page = html(evaluation)
    data_path, page_path = folder / f"{name}.json", folder / f"{name}.html"
    evaluations.save(evaluation, data_path)
    write_whole(page_path, page)
    return data_path, page_path


def html(evaluation: Evaluation) -> str:
    """The whole page, styles and drawings inside."""
    colours = palette(evaluation)
    costs = [(name, answer.cost) for name, answer in evaluation.answers.items() if answer.cost is not None]
    return render(
        "evaluation.html",
        {
            "evaluation": evaluation,
            "sentence": summary_sentence(evaluation),
            "summary": summary_tables(evaluation),
            "details": detail_tables(evaluation),
            "differences": difference_table(evaluation),
            "plots": inlined(plots(evaluation, colours)),
            "learning": inlined(learning_plots(_learned(evaluation), colours)),
            "slices": slice_tables(evaluation),
            "slice_plots": inlined(_slice_plots(evaluation, colours)),
            "costs": cost_table(costs),
            "words": in_words(evaluation),
            "colours": {name: colours.colour(name) for name in evaluation.answers},
            "protocol": _protocol_fields(evaluation),
        },
    )


def render(template: str, values: Dict[str, Any]) -> str:
    """A template of the folder with these values; names in them are shown, never run."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values).lstrip()


def inlined(drawn: Iterable[Plot]) -> List[Tuple[Plot, Markup]]:
    """Drawings to stand in the page as they are: they are made here, not by whoever names a model."""
    return [(plot, Markup(plot.svg)) for plot in drawn]


def _learned(evaluation: Evaluation) -> Dict[str, List[Learning]]:
    known = ((name, answer.learning) for name, answer in evaluation.answers.items())
    return {name: [learning] for name, learning in known if learning is not None}


def _slice_plots(evaluation: Evaluation, colours: Palette) -> List[Plot]:
    figure, found = slice_figure(evaluation), []
    pairs = [(each.by, each.name) for answer in evaluation.answers.values() for each in answer.slices]
    for by, names in by_slicing(pairs).items():
        values: Dict[str, List[Optional[Point]]] = {}
        for model, answer in evaluation.answers.items():
            own = {e.name: e for e in answer.slices if e.by == by and figure in e.figures}
            points = {n: Point(e.figures[figure], e.intervals.get(figure)) for n, e in own.items()}
            values[model] = [points.get(name) for name in names]
        found.append(slice_plot(f"{figure} by {by}", names, figure, values, colours))
    return found


def print_tables(evaluation: Evaluation, console: Console) -> None:
    """The summary tables, then the protocol in words."""
    if evaluation.synthetic:
        console.print("Synthetic data: these figures say nothing about real users.", style="bold yellow")
    for table in summary_tables(evaluation):
        console.print(_rich(table))
    console.print(Text(summary_sentence(evaluation), style="bold"))
    for sentence in in_words(evaluation):
        console.print(Text(sentence, style="dim"))


def _rich(table: Table) -> RichTable:
    shown = RichTable(title=table.title, title_justify="left", title_style="bold")
    shown.add_column("model", no_wrap=True)
    # A console is narrow, and these two say what the hit rate says.
    kept = [i for i, title in enumerate(table.columns) if not title.startswith(("precision", "recall"))]
    for index in kept:
        shown.add_column(table.columns[index], justify="right", overflow="fold")
    for name, cells in table.rows:
        shown.add_row(Text(name), *(Text(cells[i].text, style="bold green" if cells[i].best else "") for i in kept))
    return shown


def _protocol_fields(evaluation: Evaluation) -> Dict[str, str]:
    fields = evaluation.protocol.model_dump(mode="json")
    return {name: ", ".join(map(str, v)) if isinstance(v, list) else str(v) for name, v in fields.items()}
