"""Tables of what stands besides the figures: differences from the base, slices, and costs."""

from __future__ import annotations

from typing import Callable, List, Optional, Sequence, Tuple

from pipeline.evaluation.aspects import Cost, Difference, Slice
from pipeline.evaluation.curves import by_slicing
from pipeline.evaluation.results import Evaluation
from pipeline.evaluation.tables import Cell, Table, span


def difference_table(evaluation: Evaluation) -> Optional[Table]:
    """Each model less the base, where the figures were drawn again; marked where the interval leaves out 0."""
    if evaluation.base is None or not evaluation.differences:
        return None
    names = main_figures(evaluation)
    names = [name for name in names if any(name in own for own in evaluation.differences.values())]
    rows = [
        (model, tuple(_difference(own.get(name)) for name in names))
        for model, own in evaluation.differences.items()
    ]
    return Table(f"Less {evaluation.base}, on the same users", tuple(names), tuple(rows))


def main_figures(evaluation: Evaluation) -> List[str]:
    """The names of `flat` that a person compares first."""
    k, ranked = evaluation.protocol.main_k, evaluation.lists_digest is not None
    names = ["auc", "gauc", f"hr@{k}", f"ndcg@{k}"] if ranked else []
    names += [f"full/hr@{k}", f"full/ndcg@{k}"] if ranked and evaluation.protocol.full_ranking else []
    return names + [f"{task}/{figure}" for task in evaluation.questions for figure in ("auc", "log_loss")]


def slice_figure(evaluation: Evaluation) -> str:
    """What the slices are compared by: the hit rate, or AUC where nothing is ranked."""
    k = evaluation.protocol.main_k
    ranked = any(f"hr@{k}" in each.figures for answer in evaluation.answers.values() for each in answer.slices)
    return f"hr@{k}" if ranked else "auc"


def slice_tables(evaluation: Evaluation) -> List[Table]:
    """One a way to divide: models by slices."""
    figure, found = slice_figure(evaluation), []
    pairs = [(each.by, each.name) for answer in evaluation.answers.values() for each in answer.slices]
    for by, names in by_slicing(pairs).items():
        lines = []
        for model, answer in evaluation.answers.items():
            own = {each.name: each for each in answer.slices if each.by == by}
            lines.append((model, [own.get(name) for name in names]))
        best = [_best([own[i] for _, own in lines], figure) for i in range(len(names))]
        rows = [
            (model, tuple(_slice(each, figure, best[i]) for i, each in enumerate(own))) for model, own in lines
        ]
        found.append(Table(f"{figure} by {by}", tuple(_counted(names, lines)), tuple(rows)))
    return found


def cost_table(costs: Sequence[Tuple[str, Cost]]) -> Optional[Table]:
    """Parameters, bytes, training and one ranking request; the least of each marked."""
    if not costs:
        return None
    candidates = max(cost.rank_candidates for _, cost in costs)
    columns: List[Tuple[str, Callable[[Cost], Optional[float]], str]] = [
        ("parameters", lambda c: c.parameters, "{:,.0f}"),
        ("variables, MB", lambda c: c.variable_bytes / 1e6, "{:,.2f}"),
        ("training, CPU s", lambda c: c.cpu_seconds, "{:,.0f}"),
        ("training, wall s", lambda c: c.wall_seconds, "{:,.0f}"),
        (f"rank {candidates} candidates, ms", lambda c: c.rank_milliseconds, "{:,.2f}"),
    ]
    rows = []
    least = [min((v for v in (value(c) for _, c in costs) if v is not None), default=None) for _, value, _ in columns]
    for model, cost in costs:
        cells = []
        for (_, value, form), smallest in zip(columns, least):
            own = value(cost)
            marked = own is not None and own == smallest and len(costs) > 1
            cells.append(Cell("–" if own is None else form.format(own), best=marked))
        rows.append((model, tuple(cells)))
    return Table("Cost", tuple(title for title, _, _ in columns), tuple(rows))


def _difference(found: Optional[Difference]) -> Cell:
    if found is None:
        return Cell("–")
    return Cell(f"{found.value:+.4f}", span(found.interval, "{:+.3f}"), found.beyond_chance)


def _slice(found: Optional[Slice], figure: str, best: Optional[float]) -> Cell:
    if found is None or figure not in found.figures:
        return Cell("–")
    value = found.figures[figure]
    return Cell(f"{value:.4f}", span(found.intervals.get(figure)), value == best)


def _best(slices: Sequence[Optional[Slice]], figure: str) -> Optional[float]:
    known = [each.figures[figure] for each in slices if each is not None and figure in each.figures]
    return max(known) if len(known) > 1 else None


def _counted(names: Sequence[str], lines: Sequence[Tuple[str, Sequence[Optional[Slice]]]]) -> List[str]:
    """With the lists, or rows, in each."""
    rows = {each.name: each.rows for _, own in lines for each in own if each is not None}
    return [f"{name} ({rows[name]:,})" for name in names]
