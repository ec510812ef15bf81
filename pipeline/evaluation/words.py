"""An evaluation's protocol in sentences: every number that decides the figures, for a reader who was not there."""

from __future__ import annotations

from typing import List

from pipeline.evaluation.results import Evaluation, Protocol, TaskQuestion


def in_words(evaluation: Evaluation) -> List[str]:
    """One idea a sentence: the data, the lists, the rules, each task, and what was left out."""
    protocol, answers = evaluation.protocol, evaluation.answers.values()
    words = [
        f"Data set {evaluation.dataset} (fingerprint {evaluation.fingerprint}), part {evaluation.part}: "
        f"{evaluation.rows_evaluated:,} of {evaluation.part_rows:,} rows evaluated "
        f"(at most {protocol.rows:,}, evenly spaced)."
    ]
    if any(answer.sampled for answer in answers):
        words.append(
            f"Sampled lists: one positive and {protocol.negatives} negatives each, drawn without replacement, "
            f"{_sampler(protocol)}, from {_pool(protocol)}; seed {protocol.seed}, lists {evaluation.lists_digest}."
        )
        words.append("AUC is pooled over all lists, GAUC is per user and weighted by rows; both are exact, ties half.")
    if any(answer.full for answer in answers):
        words.append(
            "Full ranking: every item except those the user had met in the parts before this one; "
            "its GAUC is the mean of the lists' AUC."
        )
    if any(answer.sampled for answer in answers):
        words.append(
            "Rank of a positive: 1 + the others that score at least as much, so ties count "
            f"{protocol.ties}; NaN ranks last."
        )
        words.append("With one positive a list, recall@k is HR@k and precision@k is HR@k / k.")
    if any(answer.intervals for answer in answers):
        words.append(
            f"A range holds the middle 95 % of what {protocol.resamples:,} resamples of the users give (percentile "
            "bootstrap; of the rows, where nobody knows whose they are). All models are drawn with the same users."
        )
    words += [f"Task {task}: {_question(question, protocol)}" for task, question in evaluation.questions.items()]
    return words + list(evaluation.remarks)


def _question(question: TaskQuestion, protocol: Protocol) -> str:
    if question.drawn_negatives:
        return (
            f"each positive with {protocol.task_negatives} negatives drawn {_sampler(protocol)} "
            f"from {_pool(protocol)}; log loss and calibration hold for this share of positives only."
        )
    return "the rows of the part that are labelled for it; the constant is the share of positives in training."


def _sampler(protocol: Protocol) -> str:
    if protocol.sampler == "uniform":
        return "uniform"
    return f"by popularity (training count to the power {protocol.popularity_exponent:g})"


def _pool(protocol: Protocol) -> str:
    return "the items that the user has met in no part" if protocol.seen_filter == "any part" else "all items"
