"""Batches for one model: a run waits here for others that feed and fetch the same tensors."""

from __future__ import annotations

import logging
import math
import threading
import time
from functools import partial
from typing import Callable, Dict, FrozenSet, List, Optional, Sequence, Tuple

import numpy as np

from serving.embedded.batching import merge
from serving.embedded.batching.parameters import Parameters
from serving.embedded.batching.queue import Batch, Queue, Task
from serving.embedded.batching.scheduler import Scheduler
from serving.embedded.errors import StatusError
from serving.embedded.metrics.meters import Meters

log = logging.getLogger(__name__)

Run = Callable[[Sequence[str], Sequence[np.ndarray], Sequence[str], int], List[np.ndarray]]
"""(fed tensors, their values, fetched tensors, timeout in ms) -> values of the fetched tensors."""

_MOST_QUEUES = 200
"""Of one model. Output filters make new kinds of requests; beyond this many, further kinds run by themselves."""
_Kind = Tuple[FrozenSet[str], FrozenSet[str]]


class Batcher:
    """Stands in front of a session's run, with the same arguments; thread-safe."""

    def __init__(self, run: Run, parameters: Parameters, scheduler: Scheduler, meters: Meters) -> None:
        self._run = run
        self._parameters = parameters
        self._scheduler = scheduler
        self._meters = meters
        self._lock = threading.Lock()
        self._queues: Dict[_Kind, Queue] = {}

    def run(
        self, feeds: Sequence[str], values: Sequence[np.ndarray], fetches: Sequence[str], timeout_ms: int = 0
    ) -> List[np.ndarray]:
        """The fetched tensors, cut to this request's rows. Raises StatusError, the whole batch's too."""
        fed = dict(zip(feeds, values))
        inputs, outputs = sorted(fed), sorted(set(fetches))
        queue = self._queue((frozenset(inputs), frozenset(outputs)))
        if queue is None:
            return self._run(feeds, values, fetches, timeout_ms)
        ordered = [fed[name] for name in inputs]
        size = merge.rows(ordered)
        for _ in ordered:
            self._meters.batching_input.add((), size)
        now = time.monotonic()
        task = Task(ordered, size, now, now + timeout_ms / 1e3 if timeout_ms else math.inf)
        answers = [part.answer.result() for _, part in self._scheduler.submit(queue, task)]
        found = answers[0] if len(answers) == 1 else [np.concatenate(parts) for parts in zip(*answers)]
        by_name = dict(zip(outputs, found))
        return [by_name[name] for name in fetches]

    def close(self) -> None:
        """Runs what still waits; the model is closed after this."""
        with self._lock:
            queues, self._queues = list(self._queues.values()), {}
        for queue in queues:
            self._scheduler.remove(queue)

    def _queue(self, kind: _Kind) -> Optional[Queue]:
        with self._lock:
            if kind not in self._queues and len(self._queues) < _MOST_QUEUES:
                queue = Queue(self._parameters, partial(self._process, sorted(kind[0]), sorted(kind[1])))
                self._queues[kind] = queue
                self._scheduler.add(queue)
            return self._queues.get(kind)

    def _process(self, inputs: Sequence[str], outputs: Sequence[str], batch: Batch) -> None:
        """Answers every task of a batch, with its rows or with what went wrong."""
        try:
            answers = self._answers(inputs, outputs, batch)
        except StatusError as error:
            _fail(batch, error.code, error.message)
        except Exception as error:  # noqa: BLE001  (a task that is never answered would hold its client for ever)
            log.exception("running a batch")
            _fail(batch, "INTERNAL", f"{type(error).__name__}: {error}")
        else:
            for task, answer in zip(batch.tasks, answers):
                task.answer.set_result(answer)

    def _answers(self, inputs: Sequence[str], outputs: Sequence[str], batch: Batch) -> List[List[np.ndarray]]:
        """The outputs of each task. Raises StatusError, which is then every task's."""
        tasks, parameters = batch.tasks, self._parameters
        timeout_ms = self._timeout_ms(tasks)
        size = merge.allowed(batch.rows, parameters.allowed_batch_sizes)
        # The real server breaks down where the request that padding rows are taken from has none.
        extra = size - batch.rows if tasks[-1].rows else 0
        self._meters.batching_padding.add((str(batch.rows + extra),), extra)
        self._meters.batching_processed.add((), batch.rows + extra)
        merged = [
            merge.merged(name, [task.values[position] for task in tasks], parameters.pad_variable_length_inputs, extra)
            for position, name in enumerate(inputs)
        ]
        self._meters.batching_runs.add()
        found = self._run(inputs, merged, outputs, timeout_ms)
        sizes = [task.rows for task in tasks]
        return [list(rows) for rows in zip(*(merge.split(value, sizes, extra) for value in found))]

    def _timeout_ms(self, tasks: Sequence[Task]) -> int:
        """What the most patient task has left; 0 where one waits for ever. Raises StatusError when all ran out."""
        now = time.monotonic()
        for task in tasks:
            self._meters.batching_queuing.add(("",), (now - task.entered) * 1e6)
        left = max(task.deadline for task in tasks) - now
        if left <= 0:
            raise StatusError("RESOURCE_EXHAUSTED", "Run() timeout exceeded while waiting in batching queue")
        return 0 if left == math.inf else max(1, math.ceil(left * 1e3))


def _fail(batch: Batch, code: str, message: str) -> None:
    for task in batch.tasks:
        task.answer.set_exception(StatusError(code, message))
