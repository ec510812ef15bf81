"""Asks both versions the same questions, in turn, and keeps what they answered and how long it took."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from serving.canary.questions import Question
from serving.client.client import Client
from serving.client.errors import ClientError

Outputs = Dict[str, np.ndarray]


@dataclass(frozen=True)
class Asked:
    """One question and both answers; None where a version refused, with its words."""

    question: Question
    old: Optional[Outputs]
    new: Optional[Outputs]
    error: str = ""


@dataclass
class Seconds:
    """How long each answered request took, by version."""

    old: List[float] = field(default_factory=list)
    new: List[float] = field(default_factory=list)


def ask(
    client: Client, model: str, versions: Tuple[int, int], questions: Sequence[Question], seconds: float
) -> Tuple[List[Asked], Seconds]:
    """Each question once for its answers, then again and again for so many seconds, for the time that they take.

    versions: the old and the new. They are asked one right after the other, the first in turn, so that whatever else
    the machine does slows down both.
    """
    found = []
    for question in questions:
        old, problem = _answer(client, model, versions[0], question)
        new, error = _answer(client, model, versions[1], question)
        found.append(Asked(question, old, new, error or problem))
    timed = [each.question for each in found if each.old is not None and each.new is not None]
    return found, _timed(client, model, versions, timed, seconds)


def _timed(
    client: Client, model: str, versions: Tuple[int, int], questions: Sequence[Question], seconds: float
) -> Seconds:
    taken, end, turn = Seconds(), time.perf_counter() + seconds, 0
    while questions and time.perf_counter() < end:
        again, place = divmod(turn, len(questions))
        pairs = list(zip(versions, (taken.old, taken.new)))
        for version, column in pairs if (again + place) % 2 else reversed(pairs):
            started = time.perf_counter()
            answer, _ = _answer(client, model, version, questions[place])
            if answer is not None:
                column.append(time.perf_counter() - started)
        turn += 1
    return taken


def _answer(client: Client, model: str, version: int, question: Question) -> Tuple[Optional[Outputs], str]:
    try:
        return client.predict(model, question.inputs, question.signature, version=version).outputs, ""
    except ClientError as error:
        if error.retry:  # nobody there, or far too late: says nothing of a version
            raise
        return None, f"{question.signature}: {error}"
