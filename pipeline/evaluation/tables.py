"""The tables of an evaluation as plain data: the console and the page show the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from pipeline.evaluation.aspects import Ends
from pipeline.evaluation.results import Answer, Evaluation, Ranking, TaskFigures

CONSTANT = "constant"
"""The row of a model that always says the base rate."""


@dataclass(frozen=True)
class Cell:
    text: str
    range: str = ""
    """The ends of its interval, where there is one."""
    best: bool = False
    """The best of its column, constants and popularity included."""


@dataclass(frozen=True)
class Table:
    """One line per model."""

    title: str
    columns: Tuple[str, ...]
    rows: Tuple[Tuple[str, Tuple[Cell, ...]], ...]
    """Name of the model and its cells."""


@dataclass(frozen=True)
class _Column:
    title: str
    value: Callable[..., Optional[float]]
    form: str = "{:.4f}"
    distance: Optional[Callable[[float], float]] = None
    """The best has the smallest; None where none is best."""
    only_if_any: bool = False
    """Left out where it is 0 for all."""
    figure: str = ""
    """Its name in `Answer.intervals`, behind the table's own prefix."""


def main_k(evaluation: Evaluation) -> int:
    """The k that the short table and the summary speak of: 10 where it was asked for, else the middle one."""
    return evaluation.protocol.main_k


def summary_tables(evaluation: Evaluation) -> List[Table]:
    """The tables that a person reads first: sampled lists, full ranking, one per task."""
    k = main_k(evaluation)
    tables = [
        _table(
            _ranked_title(title, ranked),
            ranked,
            _summary_columns(k, pooled=which == "sampled"),
            _intervals(evaluation, "" if which == "sampled" else "full/"),
        )
        for which, title in _KINDS
        for ranked in [_ranked(evaluation, which)]
        if ranked
    ]
    return tables + [_task_table(evaluation, task) for task in evaluation.questions]


def detail_tables(evaluation: Evaluation) -> List[Table]:
    """Every figure at every k."""
    tables = []
    for which, title in _KINDS:
        ranked = _ranked(evaluation, which)
        for name, field in (("HR = recall", "hr"), ("NDCG", "ndcg"), ("MRR", "mrr"), ("precision", "precision")):
            if ranked:
                columns = [_at_column(f"@{k}", k, field) for k in evaluation.protocol.ks]
                ends = _intervals(evaluation, "" if which == "sampled" else "full/")
                tables.append(_table(f"{title}: {name} at k", ranked, columns, ends))
    return tables


_KINDS = (("sampled", "Sampled lists"), ("full", "Full ranking"))


def _ranked(evaluation: Evaluation, which: str) -> List[Tuple[str, Ranking]]:
    found = ((name, getattr(answer, which)) for name, answer in evaluation.answers.items())
    return [(name, ranking) for name, ranking in found if ranking is not None]


def _ranked_title(title: str, ranked: Sequence[Tuple[str, Ranking]]) -> str:
    first = ranked[0][1]
    average = " on average" if first.candidates % 1 else ""
    return f"{title}: {first.lists:,} lists of {first.candidates:,.0f}{average}"


def _summary_columns(k: int, *, pooled: bool) -> List[_Column]:
    first = [_Column("AUC", lambda r: r.auc, distance=_high, figure="auc")] if pooled else []
    return first + [
        _Column("GAUC" if pooled else "mean AUC", lambda r: r.gauc, distance=_high, figure="gauc"),
        _at_column(f"HR@{k}", k, "hr"),
        _at_column(f"NDCG@{k}", k, "ndcg"),
        _at_column(f"MRR@{k}", k, "mrr"),
        _at_column(f"precision@{k}", k, "precision"),
        _at_column(f"recall@{k}", k, "recall"),
        _Column("median rank", lambda r: r.median_rank, "{:g}", _low),
        _Column("NaN", lambda r: r.unanswered, "{:,}", only_if_any=True),
        _Column("seconds", lambda r: r.seconds, "{:.1f}"),
    ]


def _at_column(title: str, k: int, field: str) -> _Column:
    return _Column(title, lambda ranking: getattr(ranking.at_k(k), field), distance=_high, figure=f"{field}@{k}")


_TASK_COLUMNS = (
    _Column("AUC", lambda f: f.auc, distance=lambda v: -v, figure="auc"),
    _Column("GAUC", lambda f: f.gauc, distance=lambda v: -v, figure="gauc"),
    _Column("log loss", lambda f: f.log_loss, distance=lambda v: v, figure="log_loss"),
    _Column("expected / observed", lambda f: f.calibration, "{:.3f}", lambda v: abs(v - 1.0)),
    _Column("calibration error", lambda f: f.calibration_error, distance=lambda v: v),
    _Column("NaN", lambda f: f.unanswered, "{:,}", only_if_any=True),
)


def _task_table(evaluation: Evaluation, task: str) -> Table:
    question = evaluation.questions[task]
    lines: List[Tuple[str, TaskFigures]] = [
        (name, answer.tasks[task]) for name, answer in evaluation.answers.items() if task in answer.tasks
    ]
    if question.base_log_loss is not None:
        constant = TaskFigures(
            rows=lines[0][1].rows if lines else 0, positives=lines[0][1].positives if lines else 0, auc=0.5, gauc=0.5,
            gauc_groups=0, gauc_skipped=0, log_loss=question.base_log_loss, unanswered=0,
        )
        lines.insert(0, (f"{CONSTANT} {question.base_rate:.3f}", constant))
    counts = f": {lines[0][1].positives:,} positives in {lines[0][1].rows:,} rows" if lines else ""
    return _table(f"Task {task}{counts}", lines, _TASK_COLUMNS, _intervals(evaluation, f"{task}/"))


def _table(
    title: str,
    lines: Sequence[Tuple[str, object]],
    columns: Sequence[_Column],
    intervals: Optional[Mapping[str, Mapping[str, Ends]]] = None,
) -> Table:
    """intervals: by name of the line and figure of the column."""
    columns = [c for c in columns if not c.only_if_any or any(c.value(figures) for _, figures in lines)]
    values = [[column.value(figures) for column in columns] for _, figures in lines]
    best = [_best(column, [row[i] for row in values]) for i, column in enumerate(columns)]
    rows = []
    for (name, _), own in zip(lines, values):
        ends = (intervals or {}).get(name, {})
        cells = tuple(
            Cell(_text(column, value), span(ends.get(column.figure)), value is not None and value == best[i])
            for i, (column, value) in enumerate(zip(columns, own))
        )
        rows.append((name, cells))
    return Table(title, tuple(column.title for column in columns), tuple(rows))


def _intervals(evaluation: Evaluation, prefix: str) -> Dict[str, Dict[str, Ends]]:
    """By model and by the figure's name without the prefix."""
    return {
        model: {name[len(prefix) :]: ends for name, ends in answer.intervals.items() if name.startswith(prefix)}
        for model, answer in evaluation.answers.items()
    }


def span(ends: Optional[Ends], form: str = "{:.3f}") -> str:
    """An interval in words; nothing where there is none."""
    return "" if ends is None else f"{form.format(ends[0])} to {form.format(ends[1])}"


def _best(column: _Column, values: Sequence[Optional[float]]) -> Optional[float]:
    known = [value for value in values if value is not None]
    if column.distance is None or len(known) < 2:
        return None
    return min(known, key=column.distance)


def _text(column: _Column, value: Optional[float]) -> str:
    return "–" if value is None else column.form.format(value)


def _high(value: float) -> float:
    return -value


def _low(value: float) -> float:
    return value


def summary_sentence(evaluation: Evaluation) -> str:
    """The answer in one sentence, for whoever reads no table."""
    k, ranked = main_k(evaluation), dict(_ranked(evaluation, "sampled"))
    if not ranked:
        return _task_sentence(evaluation)
    name = max(ranked, key=lambda n: ranked[n].at_k(k).ndcg)
    baseline, best = next(iter(ranked)), ranked[name]
    text = (
        f"Among {evaluation.protocol.negatives} others, {name} puts the right item into the first {k} "
        f"in {best.at_k(k).hr:.1%} of {best.lists:,} lists"
    )
    if name == baseline:
        return text + ("; no model does better." if len(ranked) > 1 else "; no model was asked.")
    return f"{text}; {baseline} does in {ranked[baseline].at_k(k).hr:.1%}."


def _task_sentence(evaluation: Evaluation) -> str:
    task = next(iter(evaluation.questions))
    answers = {n: a.tasks[task].auc for n, a in evaluation.answers.items() if _auc(a, task) is not None}
    if not answers:
        return f"Task {task}: no model has an AUC."
    name = max(answers, key=lambda n: answers[n] or 0.0)
    return f"Task {task}: {name} has the highest AUC, {answers[name]:.4f}."


def _auc(answer: Answer, task: str) -> Optional[float]:
    return answer.tasks[task].auc if task in answer.tasks else None
