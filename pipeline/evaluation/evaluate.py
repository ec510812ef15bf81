"""Evaluation of scorers on one part of a prepared data set: lists are drawn once, and every scorer gets the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Callable, Dict, List, Mapping, Optional, Tuple

import numpy as np

from pipeline.evaluation import bootstrap, draws, metrics, slices, tasks
from pipeline.evaluation import questions as question_files
from pipeline.evaluation.aspects import Difference, Slice
from pipeline.evaluation.bootstrap import Draws
from pipeline.evaluation.questions import Questions, ask
from pipeline.evaluation.ranking import (
    SampledScores,
    defined,
    full_ranking,
    rank_everything,
    sampled_ranking,
    score_lists,
)
from pipeline.evaluation.results import POPULARITY, Answer, Evaluation, Protocol, TaskFigures, flat
from pipeline.evaluation.scoring import Popularity, Predictor, Scorer
from pipeline.evaluation.slices import Slicing
from pipeline.evaluation.tasks import Predicted
from pipeline.items import Seen
from pipeline.prepared import Part, Prepared
from pipeline.rows import row_groups
from signatures.errors import UsageError

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """Questions, with what only the whole evaluation needs."""

    questions: Questions
    before: Optional[Seen]
    """What the full ranking leaves out; None where it is not asked for."""
    slicings: Tuple[Slicing, ...]


@dataclass(frozen=True)
class Answered:
    """One scorer's answer, and how its figures came out in each resample of the users."""

    answer: Answer
    draws: Draws


def evaluate(
    prepared: Prepared,
    scorers: Mapping[str, Scorer],
    part: Part = "test",
    protocol: Optional[Protocol] = None,
    progress: Progress = lambda message: None,
    base: Optional[str] = None,
) -> Evaluation:
    """Every scorer's figures, popularity's first, and their differences from those of `base`, the best by default.

    `progress` is told in words what is being done. Raises UsageError where the part is empty, or holds neither an item
    to rank nor a label to predict, and for a base that is not evaluated.
    """
    if POPULARITY in scorers:
        raise UsageError(f"model name {POPULARITY!r} is taken by the baseline; rename the model")
    protocol = Protocol() if protocol is None else protocol
    progress("drawing candidate lists")
    asked = ask_all(prepared, part, protocol)
    items = asked.questions.items
    baseline = {} if items is None else {POPULARITY: Popularity(items, prepared.schema)}
    everybody = {**baseline, **scorers}
    if base is not None and base not in everybody:
        raise UsageError(f"base {base!r} is not among those evaluated; choose one of {', '.join(everybody)}")
    answers = {name: answer(name, scorer, asked, progress) for name, scorer in everybody.items()}
    return result(prepared, part, asked, answers, base)


def ask_all(prepared: Prepared, part: Part, protocol: Protocol) -> Asked:
    """Everything that is asked, once for all scorers."""
    questions = ask(prepared, part, protocol)
    ranked = questions.lists is not None and protocol.full_ranking
    before = question_files.seen_before(prepared, part) if ranked else None
    return Asked(questions, before, question_files.slicings(prepared, questions))


def answer(name: str, scorer: Scorer, asked: Asked, progress: Progress = lambda message: None) -> Answered:
    """What one scorer says to everything."""
    questions, protocol = asked.questions, asked.questions.protocol
    sampled = full = lists = None
    found: Draws = {}
    if questions.positives is not None and questions.lists is not None:
        progress(f"{name}: sampled lists")
        lists = score_lists(scorer, questions.positives, questions.lists)
        sampled = sampled_ranking(lists, protocol)
        found.update(draws.of_lists(lists, protocol))
        if asked.before is not None and questions.items is not None:
            progress(f"{name}: full ranking")
            ranks = rank_everything(scorer, questions.positives, questions.items, asked.before)
            full = full_ranking(ranks, protocol)
            found.update(draws.of_everything(ranks, protocol))
    progress(f"{name}: tasks")
    predictions = _predictions(scorer, questions)
    probability = isinstance(scorer, Predictor) and scorer.probability
    found = {**draws.of_tasks(predictions, probability, protocol), **found}
    made = Answer(sampled=sampled, full=full, tasks=_figures(scorer, predictions))
    kept = bootstrap.intervals(found, flat(made))
    return Answered(made.model_copy(update={"intervals": kept, "slices": _slices(asked, lists, predictions)}), found)


def result(
    prepared: Prepared, part: Part, asked: Asked, answers: Mapping[str, Answered], base: Optional[str] = None
) -> Evaluation:
    """All answers in one record, with their differences from the base."""
    questions = asked.questions
    base = best(questions, answers) if base is None else base
    return Evaluation(
        dataset=prepared.facts.dataset,
        synthetic=prepared.facts.synthetic,
        fingerprint=prepared.facts.fingerprint,
        part=part,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        protocol=questions.protocol,
        part_rows=sum(group.rows for group in row_groups(prepared, part)),
        rows_evaluated=questions.rows,
        lists_digest=None if questions.lists is None else questions.lists.digest,
        remarks=questions.remarks,
        questions=question_files.task_questions(prepared, questions),
        answers={name: answered.answer for name, answered in answers.items()},
        base=base,
        differences={} if base is None else _differences(answers, base),
    )


def validate(questions: Questions, scorer: Scorer) -> Dict[str, float]:
    """What training looks at after an epoch: auc, gauc, hr@10, ndcg@10, and log_loss of the first task.

    Figures that are not defined are left out. auc and gauc are of the lists, or of the first task where nothing is
    ranked. `questions` come from `ask(prepared, "validation", Protocol(negatives=100))`, once.
    """
    found: Dict[str, Optional[float]] = {}
    for figures in list(_figures(scorer, _predictions(scorer, questions)).values())[:1]:
        found.update(auc=figures.auc, gauc=figures.gauc, log_loss=figures.log_loss)
    if questions.positives is not None and questions.lists is not None:
        lists = score_lists(scorer, questions.positives, questions.lists)
        ranks = lists.ranks
        found["auc"], found["gauc"] = lists.auc, defined(lists.gauc.value)
        found["hr@10"] = float(metrics.hit_rate(ranks, 10).mean())
        found["ndcg@10"] = float(metrics.ndcg(ranks, 10).mean())
    return {name: value for name, value in found.items() if value is not None}


def best(questions: Questions, answers: Mapping[str, Answered]) -> Optional[str]:
    """Of the highest NDCG in the sampled lists, or AUC where nothing is ranked; None where nobody has one."""
    figure = f"ndcg@{questions.protocol.main_k}" if questions.lists is not None else "auc"
    known = {name: flat(answered.answer).get(figure) for name, answered in answers.items()}
    return max((name for name in known if known[name] is not None), key=lambda n: known[n] or 0.0, default=None)


def difference(one: Answered, other: Answered) -> Dict[str, Difference]:
    """Every figure of `one` less that of `other`, the draws paired: both were asked the same."""
    mine, theirs = flat(one.answer), flat(other.answer)
    return {
        name: Difference(
            value=mine[name] - theirs[name],
            interval=bootstrap.interval(one.draws[name] - other.draws[name]),
        )
        for name in mine
        if name in theirs and name in one.draws and name in other.draws
    }


def _differences(answers: Mapping[str, Answered], base: str) -> Dict[str, Dict[str, Difference]]:
    return {name: difference(each, answers[base]) for name, each in answers.items() if name != base}


def _predictions(scorer: Scorer, questions: Questions) -> Dict[str, Predicted]:
    """In the schema's order, but drawn ones first."""
    if not isinstance(scorer, Predictor):
        return {}
    found = {} if questions.drawn is None else tasks.drawn_predictions(scorer, questions.drawn)
    if questions.labelled is not None:
        found.update(tasks.labelled_predictions(scorer, questions.labelled))
    return found


def _figures(scorer: Scorer, predictions: Mapping[str, Predicted]) -> Dict[str, TaskFigures]:
    probability = isinstance(scorer, Predictor) and scorer.probability
    return {name: tasks.figures(predicted, probability) for name, predicted in predictions.items()}


def _slices(
    asked: Asked, lists: Optional[SampledScores], predictions: Mapping[str, Predicted]
) -> Tuple[Slice, ...]:
    protocol = asked.questions.protocol
    if lists is not None:
        divided = slices.Lists(lists.labels, lists.scores, lists.ranks, lists.groups)
    elif asked.questions.labelled is not None and asked.questions.labelled.tasks[0].name in predictions:
        first = predictions[asked.questions.labelled.tasks[0].name]
        column = np.newaxis
        divided = slices.Lists(first.labels[:, column], first.logits[:, column], None, first.units)
    else:
        return ()
    drawn = draws.resamples(divided.units, protocol)
    found: List[Slice] = []
    for slicing in asked.slicings:
        found += slices.figures(divided, slicing, protocol.main_k, drawn)
    return tuple(found)
