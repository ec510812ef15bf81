"""A study's tables for its page, as plain data: means over the seeds, paired differences, slices and costs."""

from __future__ import annotations

from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from pipeline.evaluation.aspects import Cost, Slice
from pipeline.evaluation.curves import Point, by_slicing
from pipeline.evaluation.tables import Cell, Table, span
from pipeline.studies.collect import Everything
from pipeline.studies.form import Study
from pipeline.studies.outcome import Result, RunResult, Spread, spread
from pipeline.studies.show import best_run

Sliced = Dict[str, Tuple[List[str], Dict[str, List[Optional[Spread]]]]]
"""{way to divide: (slices, {run or baseline: its figure in each})}."""


def figures(study: Study, result: Result) -> Table:
    """Baselines first; the best run of each column marked."""
    columns = [*study.figures, f"validation {study.chooser}"]
    best = [best_run(figure, result) for figure in study.figures]
    rows: List[Tuple[str, Tuple[Cell, ...]]] = []
    for name, values in result.baselines.items():
        cells = [Cell(f"{values[f]:.4f}" if f in values else "–") for f in study.figures]
        rows.append((name, (*cells, Cell("–"))))
    for name, run in result.runs.items():
        cells = [cell(run.figures.get(figure), marked=best[i] == name) for i, figure in enumerate(study.figures)]
        rows.append((name, (*cells, cell(run.validation.get(study.chooser), marked=name == result.chosen))))
    return Table(_over(result), tuple(columns), tuple(rows))


def differences(study: Study, result: Result) -> Optional[Table]:
    """None where the study asks for none."""
    names = [f for f in study.figures if any(f in own for own in result.differences.values())]
    if not names:
        return None
    rows = []
    for name, own in result.differences.items():
        cells = []
        for figure in names:
            value = own.get(figure)
            ends = None if value is None else value.interval
            cells.append(cell(value, "{:+.4f}", marked=ends is not None and not ends[0] <= 0 <= ends[1]))
        rows.append((name, tuple(cells)))
    return Table(_over(result), tuple(names), tuple(rows))


def cell(value: Optional[Spread], form: str = "{:.4f}", *, marked: bool = False) -> Cell:
    if value is None:
        return Cell("–")
    deviation = f"± {value.spread:.4f}" if len(value.seeds) > 1 else ""
    ends = span(value.interval, form.replace("4", "3"))
    return Cell(form.format(value.mean), ", ".join(word for word in (deviation, ends) if word), marked)


def sliced(everything: Everything, figure: str) -> Sliced:
    """A figure by slice, over the seeds; of baselines, as it is."""
    slices: Dict[str, List[Tuple[Slice, ...]]] = {
        baseline.name: [baseline.answered.answer.slices] for baseline in everything.baselines
    }
    for run in everything.study.runs:
        slices[run] = [done.answers["test"].answer.slices for done in everything.of(run)]
    pairs = [(each.by, each.name) for seeds in slices.values() for own in seeds for each in own]
    return {
        by: (names, {who: [_mean(seeds, by, name, figure) for name in names] for who, seeds in slices.items()})
        for by, names in by_slicing(pairs).items()
    }


def slice_tables(found: Sliced, figure: str) -> List[Table]:
    tables = []
    for by, (names, values) in found.items():
        rows = [(who, tuple(cell(value) for value in own)) for who, own in values.items()]
        tables.append(Table(f"{figure} by {by}", tuple(names), tuple(rows)))
    return tables


def point(value: Optional[Spread]) -> Optional[Point]:
    return None if value is None else Point(value.mean, value.interval, value.seeds)


def costs(runs: Mapping[str, RunResult], candidates: int) -> List[Tuple[str, Cost]]:
    """Of one training of each run."""
    return [
        (
            name,
            Cost(
                parameters=run.parameters,
                variable_bytes=run.variable_bytes,
                wall_seconds=run.wall_seconds,
                cpu_seconds=run.cpu_seconds,
                rank_milliseconds=run.rank_milliseconds,
                rank_candidates=candidates,
            ),
        )
        for name, run in runs.items()
    ]


def _mean(seeds: Sequence[Tuple[Slice, ...]], by: str, name: str, figure: str) -> Optional[Spread]:
    found = [each for own in seeds for each in own if each.by == by and each.name == name and figure in each.figures]
    if not found:
        return None
    return spread([each.figures[figure] for each in found], found[0].intervals.get(figure) if len(found) == 1 else None)


def _over(result: Result) -> str:
    seeds = ", ".join(map(str, result.seeds))
    return f"Test part, seeds {seeds}" if len(result.seeds) > 1 else f"Test part, seed {seeds}"
