"""An evaluation for people: tables on the console, and one page that needs no other file and no network."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Tuple

import jinja2
from markupsafe import Markup
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from pipeline.evaluation import results as evaluations
from pipeline.evaluation.plots import colour, plots
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
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    drawn = [(plot, Markup(plot.svg)) for plot in plots(evaluation)]  # made here, not by whoever names a model
    return environment.get_template("evaluation.html").render(
        evaluation=evaluation,
        sentence=summary_sentence(evaluation),
        summary=summary_tables(evaluation),
        details=detail_tables(evaluation),
        plots=drawn,
        words=in_words(evaluation),
        colours={name: colour(evaluation, name) for name in evaluation.answers},
        protocol=_protocol_fields(evaluation),
    )


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
