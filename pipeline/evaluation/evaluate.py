"""Evaluation of scorers on one part of a prepared data set: lists are drawn once, and every scorer gets the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from pipeline import items as item_files
from pipeline.evaluation import candidates, metrics
from pipeline.evaluation import rows as row_source
from pipeline.evaluation.candidates import Draw, Lists
from pipeline.evaluation.ranking import defined, full_ranking, groups_of, sampled_ranking, score_lists
from pipeline.evaluation.results import POPULARITY, Answer, Evaluation, Protocol, Ranking, TaskFigures, TaskQuestion
from pipeline.evaluation.rows import Positives
from pipeline.evaluation.scoring import Popularity, Predictor, Scorer
from pipeline.evaluation.tasks import (
    Drawn,
    Labelled,
    drawn_figures,
    labelled_figures,
    question,
    rows_that_count,
)
from pipeline.items import ItemTable, Seen
from pipeline.prepared import Part, Prepared
from pipeline.rows import count, row_groups
from pipeline.schema import Task
from signatures.errors import UsageError

PARTS: Tuple[Part, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Questions:
    """All that is asked of every scorer, read and drawn once."""

    protocol: Protocol
    items: Optional[ItemTable]
    """None where nothing can be ranked."""
    positives: Optional[Positives]
    lists: Optional[Lists]
    drawn: Optional[Drawn]
    labelled: Optional[Labelled]
    remarks: Tuple[str, ...]

    @property
    def rows(self) -> int:
        """Rows that are evaluated: lists, or labelled rows where nothing is ranked."""
        if self.lists is not None:
            return len(self.lists.rows)
        return count(self.labelled.rows) if self.labelled is not None else 0


def evaluate(
    prepared: Prepared,
    scorers: Mapping[str, Scorer],
    part: Part = "test",
    protocol: Optional[Protocol] = None,
    progress: Callable[[str], None] = lambda message: None,
) -> Evaluation:
    """Every scorer's figures, popularity's first. `progress` is told in words what is being done.

    Raises UsageError where the part is empty, or holds neither an item to rank nor a label to predict.
    """
    if POPULARITY in scorers:
        raise UsageError(f"model name {POPULARITY!r} is taken by the baseline; rename the model")
    protocol = Protocol() if protocol is None else protocol
    progress("drawing candidate lists")
    questions = ask(prepared, part, protocol)
    before = None
    if questions.lists is not None and protocol.full_ranking:
        before = item_files.seen(prepared, _with_rows(prepared, PARTS[: max(1, PARTS.index(part))]))
    baseline = {} if questions.items is None else {POPULARITY: Popularity(questions.items, prepared.schema)}
    answers = {}
    for name, scorer in {**baseline, **scorers}.items():
        answers[name] = _answer(name, scorer, questions, before, progress)
    return Evaluation(
        dataset=prepared.facts.dataset,
        synthetic=prepared.facts.synthetic,
        fingerprint=prepared.facts.fingerprint,
        part=part,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        protocol=protocol,
        part_rows=sum(group.rows for group in row_groups(prepared, part)),
        rows_evaluated=questions.rows,
        lists_digest=None if questions.lists is None else questions.lists.digest,
        remarks=questions.remarks,
        questions=_task_questions(prepared, questions),
        answers=answers,
    )


def ask(prepared: Prepared, part: Part, protocol: Protocol) -> Questions:
    """Reads the rows and draws the lists, deterministic. Keep it to ask the same again, as after every epoch."""
    binary = tuple(task for task in prepared.schema.tasks if task.kind == "binary")
    # Where every row is a positive, only a mask can say that a task has rows of both classes.
    without_labels = tuple(task for task in binary if prepared.facts.positives_only and task.mask is None)
    items, reason = _items(prepared)
    remarks = [] if reason is None else [reason]
    positives = lists = drawn = labelled = None
    if items is not None:
        known = _seen_anywhere(prepared, protocol)
        positives = row_source.positives(prepared, part, items, protocol.rows)
        lists = _lists(positives, items, known, protocol.draw(part))
        remarks += _left_out(positives, lists, protocol)
        if without_labels:
            drawn = Drawn(without_labels, positives, _lists(positives, items, known, protocol.task_draw(part)))
    with_labels = tuple(task for task in binary if task not in without_labels)
    if with_labels:
        labelled = _labelled(prepared, part, with_labels, protocol)
    if lists is None and labelled is None:
        raise UsageError(f"{prepared.folder} cannot be evaluated: {' '.join(remarks)} There is no labelled row either.")
    return Questions(protocol, items, positives, lists, drawn, labelled, tuple(remarks))


def validate(questions: Questions, scorer: Scorer) -> Dict[str, float]:
    """What training looks at after an epoch: auc, gauc, hr@10, ndcg@10, and log_loss of the first task.

    Figures that are not defined are left out. auc and gauc are of the lists, or of the first task where nothing is
    ranked. `questions` come from `ask(prepared, "validation", Protocol(negatives=100))`, once.
    """
    found: Dict[str, Optional[float]] = {}
    for figures in list(_tasks(scorer, questions).values())[:1]:
        found.update(auc=figures.auc, gauc=figures.gauc, log_loss=figures.log_loss)
    if questions.positives is not None and questions.lists is not None:
        answer = score_lists(scorer, questions.positives, questions.lists)
        ranks = answer.ranks
        found["auc"], found["gauc"] = answer.auc, defined(answer.gauc.value)
        found["hr@10"] = float(metrics.hit_rate(ranks, 10).mean())
        found["ndcg@10"] = float(metrics.ndcg(ranks, 10).mean())
    return {name: value for name, value in found.items() if value is not None}


def _answer(
    name: str, scorer: Scorer, questions: Questions, before: Optional[Seen], progress: Callable[[str], None]
) -> Answer:
    sampled: Optional[Ranking] = None
    full: Optional[Ranking] = None
    if questions.positives is not None and questions.lists is not None:
        progress(f"{name}: sampled lists")
        sampled = sampled_ranking(score_lists(scorer, questions.positives, questions.lists), questions.protocol)
        if before is not None and questions.items is not None:
            progress(f"{name}: full ranking")
            full = full_ranking(scorer, questions.positives, questions.items, before, questions.protocol)
    progress(f"{name}: tasks")
    return Answer(sampled=sampled, full=full, tasks=_tasks(scorer, questions))


def _tasks(scorer: Scorer, questions: Questions) -> Dict[str, TaskFigures]:
    """In the schema's order, but drawn ones first."""
    if not isinstance(scorer, Predictor):
        return {}
    found = {} if questions.drawn is None else drawn_figures(scorer, questions.drawn)
    if questions.labelled is not None:
        found.update(labelled_figures(scorer, questions.labelled))
    return found


def _task_questions(prepared: Prepared, questions: Questions) -> Dict[str, TaskQuestion]:
    found = {}
    for task in questions.drawn.tasks if questions.drawn is not None else ():
        negatives = questions.protocol.task_negatives
        lists = len(questions.drawn.lists.rows) if questions.drawn is not None else 0
        labels = np.repeat(np.array([1] + [0] * negatives), lists)
        found[task.name] = question(labels, 1.0 / (1 + negatives), drawn_negatives=True)
    if questions.labelled is not None:
        for task in questions.labelled.tasks:
            rows = questions.labelled.rows
            labels = (rows[task.label][rows_that_count(rows, task)] > 0).astype(np.int8)
            rate = row_source.label_rate(prepared, "train", task)
            found[task.name] = question(labels, rate, drawn_negatives=False)
    return found


def _items(prepared: Prepared) -> Tuple[Optional[ItemTable], Optional[str]]:
    """The items to rank; or None and the reason why nothing is ranked."""
    roles = prepared.schema.roles
    for role, name in (("item", roles.item), ("user", roles.user)):
        if name is None:
            return None, f"Nothing is ranked: the schema names no {role} column (roles.{role})."
    items = item_files.load(prepared)
    for column in prepared.schema.columns("cross"):
        if column.name not in items.rows:
            return None, (
                f"Nothing is ranked: {column.name} depends on user and item together, "
                "and is unknown for items that were not shown."
            )
    return items, None


def _seen_anywhere(prepared: Prepared, protocol: Protocol) -> Optional[Seen]:
    if protocol.seen_filter == "none":
        return None
    return item_files.seen(prepared, _with_rows(prepared, PARTS))


def _with_rows(prepared: Prepared, parts: Sequence[Part]) -> List[Part]:
    return [part for part in parts if prepared.facts.rows.get(part, 0) > 0]


def _lists(positives: Positives, items: ItemTable, known: Optional[Seen], draw: Draw) -> Lists:
    lists = candidates.sampled(positives.users, positives.items, items, known, draw)
    if not len(lists.rows):
        raise UsageError("no user has an item left that could be a negative; set seen_filter to none, or add items")
    return lists


def _left_out(positives: Positives, lists: Lists, protocol: Protocol) -> List[str]:
    words = []
    if positives.found > protocol.rows:
        words.append(f"{protocol.rows:,} of {positives.found:,} positives were evaluated.")
    if positives.unknown_items:
        words.append(f"{positives.unknown_items:,} positives were left out: their item is not in the item table.")
    if len(positives.items) > len(lists.rows):
        words.append(f"{len(positives.items) - len(lists.rows):,} lists were left out: the user has met every item.")
    return words


def _labelled(prepared: Prepared, part: Part, tasks: Tuple[Task, ...], protocol: Protocol) -> Labelled:
    rows = row_source.labelled(prepared, part, tasks, protocol.rows)
    user = prepared.schema.roles.user
    return Labelled(tasks, rows, None if user is None else groups_of(rows[user]))
