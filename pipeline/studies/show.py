"""A study on the console: the list of all, and the tables of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Optional, Sequence, Tuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.studies import library
from pipeline.studies.form import Study, lower_is_better
from pipeline.studies.outcome import Result, Spread

if TYPE_CHECKING:  # it imports TensorFlow, and a list must not wait for that
    from pipeline.studies.collect import Everything


def listing(console: Console) -> None:
    """Every study with its question, its time and its first figure."""
    table = Table(show_lines=False)
    for title, options in (("experiment", {"no_wrap": True}), ("question", {}), ("CPU min", {}), ("result", {})):
        table.add_column(title, overflow="fold", **options)  # type: ignore[arg-type]
    for name in library.names():
        study = library.find(name).study
        table.add_row(Text(name), Text(study.question), *map(Text, brief(study)))
    console.print(table)
    console.print("signet experiment NAME reproduces one; without a result, it was not run yet", style="dim")


def brief(study: Study) -> Tuple[str, str]:
    """CPU minutes, and the first figure of the best run."""
    result = study.result
    if result is None:
        return "", ""
    figure = study.figures[0]
    known = {name: run.figures[figure] for name, run in result.runs.items() if figure in run.figures}
    name = result.chosen if result.chosen in known else next(iter(known), None)
    said = "" if name is None else f"{name}: {figure} {text(known[name])}"
    return f"{result.cpu_seconds / 60:.0f}", f"{said} (of an earlier form of the file)" if study.outdated else said


def tables(study: Study, result: Result, console: Console) -> None:
    """Figures of every run, paired differences, and goals."""
    for table in figures_tables(study, result, console.width):
        console.print(table)
    if result.differences:
        console.print(_differences_table(study, result))
    for sentence, reached in goals(study, result):
        console.print(Text(sentence, style="green" if reached else "bold red"))
    if result.chosen is not None:
        console.print(Text(f"On the validation part, {result.chosen} has the best {study.chooser}."))


def figures_tables(study: Study, result: Result, width: int) -> List[Table]:
    """Baselines first; mean and, below it, the standard deviation over the seeds; columns as many as fit a table."""
    names = [*result.baselines, *result.runs]
    fitting = max(1, (width - min(30, max(map(len, names))) - 4) // 11)
    columns = [_column(study, result, figure) for figure in study.figures]
    columns.append(_validation_column(study, result))
    tables = []
    for start in range(0, len(columns), fitting):
        table = _table(study.title if not start else "")
        table.add_column("run", overflow="fold")
        own = columns[start : start + fitting]
        for title, _ in own:
            table.add_column(title, justify="right", no_wrap=True)
        for place, name in enumerate(names):
            style = "dim" if name in result.baselines else ""
            table.add_row(Text(name, style=style), *(cells[place] for _, cells in own))
        tables.append(table)
    return tables


def _column(study: Study, result: Result, figure: str) -> Tuple[str, List[Text]]:
    best = best_run(figure, result)
    cells = [Text(f"{own[figure]:.4f}" if figure in own else "") for own in result.baselines.values()]
    cells += [_cell(run.figures.get(figure), name == best) for name, run in result.runs.items()]
    return figure.replace("/", "/\n"), cells


def _validation_column(study: Study, result: Result) -> Tuple[str, List[Text]]:
    cells = [Text("") for _ in result.baselines]
    cells += [_cell(run.validation.get(study.chooser), name == result.chosen) for name, run in result.runs.items()]
    return f"validation\n{study.chooser}", cells


def goals(study: Study, result: Result) -> List[Tuple[str, bool]]:
    """One sentence a goal, and whether it is reached by the mean over the seeds."""
    found = []
    for subject, wanted in study.goals.items():
        reached = result.runs[subject].figures if subject in result.runs else result.differences.get(subject, {})
        for figure, goal in wanted.items():
            value = reached.get(figure)
            good = value is not None and (value.mean <= goal if lower_is_better(figure) else value.mean >= goal)
            words = "no value" if value is None else f"{value.mean:.4f}"
            found.append((f"{subject}: {figure} {words}, goal {goal:g}: {'reached' if good else 'not reached'}", good))
    return found


def warnings(everything: Everything) -> List[str]:
    """What makes the result doubtful."""
    found, done = [], everything.done
    other = sum(each.other_code for each in done)
    if other:
        found.append(
            f"{other} of {len(done)} trainings were done by other code than is here now; --restart does them again."
        )
    if any(each.job.prepared.facts.synthetic for each in done):
        found.append("Synthetic data: these figures say nothing about real users.")
    return found


def text(value: Optional[Spread]) -> str:
    """Mean ± spread; the mean alone for one seed."""
    if value is None:
        return ""
    return f"{value.mean:.4f}" + (f" ± {value.spread:.4f}" if len(value.seeds) > 1 else "")


def best_run(figure: str, result: Result) -> Optional[str]:
    """The run with the best mean on the test part; None where there is no other."""
    known = {name: run.figures[figure].mean for name, run in result.runs.items() if figure in run.figures}
    if len(known) < 2:
        return None
    return min(known, key=lambda name: known[name] if lower_is_better(figure) else -known[name])


def _cell(value: Optional[Spread], best: bool) -> Text:
    mean, _, deviation = text(value).partition(" ")
    return Text.assemble((mean, "bold green" if best else ""), (f"\n{deviation}" if deviation else "", "dim"))


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))


def _differences_table(study: Study, result: Result) -> Table:
    table = _table("Differences, seed by seed; in brackets 95 % of the resamples of users")
    table.add_column("")
    shown: Sequence[str] = [f for f in study.figures if any(f in each for each in result.differences.values())]
    for figure in shown:
        table.add_column(figure, justify="right")
    for name, values in result.differences.items():
        table.add_row(Text(name), *(_signed(values.get(figure)) for figure in shown))
    return table


def _signed(value: Optional[Spread]) -> Text:
    if value is None:
        return Text("")
    ends = "" if value.interval is None else f"\n[{value.interval[0]:+.4f}, {value.interval[1]:+.4f}]"
    deviation = f" ± {value.spread:.4f}" if len(value.seeds) > 1 else ""
    return Text(f"{value.mean:+.4f}{deviation}{ends}")
