"""All that is asked of every scorer of one part of a prepared data set, read and drawn once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from pipeline import items as item_files
from pipeline.evaluation import candidates, slices
from pipeline.evaluation import rows as row_source
from pipeline.evaluation.candidates import Draw, Lists
from pipeline.evaluation.ranking import groups_of
from pipeline.evaluation.results import Protocol, TaskQuestion
from pipeline.evaluation.rows import Positives
from pipeline.evaluation.slices import Slicing
from pipeline.evaluation.tasks import Drawn, Labelled, question, rows_that_count
from pipeline.items import ItemTable, Seen
from pipeline.prepared import Part, Prepared
from pipeline.rows import Rows, count
from pipeline.schema import Task
from signatures.errors import UsageError

PARTS: Tuple[Part, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Questions:
    """What is asked, and what the answers are divided by."""

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

    @property
    def digest(self) -> str:
        """Of what is asked: two evaluations with the same can be compared, and their draws be paired."""
        if self.lists is not None:
            return self.lists.digest
        content = hashlib.sha256()
        if self.labelled is not None:
            for task in self.labelled.tasks:
                for cells in (self.labelled.rows[task.label], rows_that_count(self.labelled.rows, task)):
                    content.update(np.ascontiguousarray(cells, np.float32).tobytes())
        return content.hexdigest()[:16]


def ask(prepared: Prepared, part: Part, protocol: Protocol) -> Questions:
    """Reads the rows and draws the lists, deterministic. Keep it to ask the same again, as after every epoch.

    Raises UsageError where the part is empty, or holds neither an item to rank nor a label to predict.
    """
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


def seen_before(prepared: Prepared, part: Part) -> Seen:
    """Who has met what in the parts before this one: what the full ranking leaves out."""
    return item_files.seen(prepared, _with_rows(prepared, PARTS[: max(1, PARTS.index(part))]))


def slicings(prepared: Prepared, questions: Questions) -> Tuple[Slicing, ...]:
    """Of the lists; where nothing is ranked, of the rows that the first labelled task counts."""
    if questions.positives is not None and questions.lists is not None:
        rows, positives = questions.lists.rows, questions.positives
        return slices.slicings(prepared, positives.users[rows], questions.items, positives.items[rows])
    if questions.labelled is None:
        return ()
    roles, task = prepared.schema.roles, questions.labelled.tasks[0]
    counted = rows_that_count(questions.labelled.rows, task)
    own = {name: questions.labelled.rows[name][counted] for name in (roles.user, roles.item) if name is not None}
    users = own[roles.user] if roles.user is not None else None
    if roles.item is None or not prepared.items.exists():
        return slices.slicings(prepared, users, None, np.zeros(0, np.int64))
    items = item_files.load(prepared)
    return slices.slicings(prepared, users, items, items.index(own[roles.item]))


def task_questions(prepared: Prepared, questions: Questions) -> Dict[str, TaskQuestion]:
    """By task, drawn ones first."""
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
    rows: Rows = row_source.labelled(prepared, part, tasks, protocol.rows)
    user = prepared.schema.roles.user
    return Labelled(tasks, rows, None if user is None else groups_of(rows[user]))
