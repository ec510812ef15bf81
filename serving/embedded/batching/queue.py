"""The requests of one kind that wait: one open batch that still takes rows, and closed ones behind a thread's back.

Nothing here waits or locks; the scheduler does, around every call.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Callable, Deque, List, Optional, Sequence

import numpy as np

from serving.embedded.batching.parameters import Parameters
from serving.embedded.errors import StatusError, invalid_argument


@dataclass
class Task:
    """One request, or a part of one: its inputs in the queue's order, and where its outputs are waited for."""

    values: Sequence[np.ndarray]
    rows: int
    entered: float
    deadline: float
    """Times of `time.monotonic`; infinite where the request names none."""
    answer: Future[List[np.ndarray]] = field(default_factory=Future)


@dataclass
class Batch:
    """Tasks that run together."""

    opened: float = 0.0
    rows: int = 0
    tasks: List[Task] = field(default_factory=list)

    def add(self, task: Task) -> None:
        self.opened = self.opened if self.tasks else task.entered
        self.tasks.append(task)
        self.rows += task.rows


class Queue:
    """Requests that feed and fetch the same tensors of one model."""

    def __init__(self, parameters: Parameters, process: Callable[[Batch], None]) -> None:
        """process: runs a batch and answers its tasks, whatever happens."""
        self.parameters = parameters
        self.process = process
        self.running = 0
        self.closing = False
        self._closed: Deque[Batch] = deque()
        self._open = Batch()

    def check(self, rows: int) -> None:
        """Raises StatusError when a request of this size cannot be taken, at all or now."""
        limit, most = self.parameters.max_batch_size, self.parameters.max_enqueued_batches
        if rows > limit:
            raise invalid_argument(f"Task size {rows} is larger than maximum input batch size {limit}")
        waiting, at_once = len(self._closed) + 1, self.parameters.rows_at_once
        full = "The batch scheduling queue to which this task was submitted is full; "
        if self.parameters.enable_large_batch_splitting:
            capacity = (most - waiting) * at_once + at_once - self._open.rows
            if rows > capacity:
                raise StatusError("UNAVAILABLE", f"{full}task size is {rows} but scheduling capacity is only "
                                  f"{capacity} (num_enqueued_batches={waiting}, max_enqueued_batches={most}, "
                                  f"open_batch_size={self._open.rows}, max_execution_batch_size={at_once})")
        elif self._open.rows + rows > limit and waiting >= most:
            raise StatusError("UNAVAILABLE", f"{full}currently {waiting} batches enqueued and max_enqueued_batches is "
                              f"{most}")

    def sizes(self, rows: int) -> List[int]:
        """The parts that a request is taken in: one, unless large requests are split and the open batch is too full."""
        at_once = self.parameters.rows_at_once
        room = at_once - self._open.rows
        if rows <= room or not self.parameters.enable_large_batch_splitting:
            return [rows]
        parts = [room] if room else []
        full, rest = divmod(rows - room, at_once)
        return parts + [at_once] * full + ([rest] if rest else [])

    def put(self, task: Task) -> None:
        """Adds a task that `check` has let pass."""
        if self._open.rows + task.rows > self.parameters.rows_at_once:
            self._close_open()
        self._open.add(task)

    def take(self, now: float) -> Optional[Batch]:
        """A batch to run: the oldest closed one, or the open one when it is full or has waited long enough."""
        if not self._closed and self._open.tasks and self._is_due(now):
            self._close_open()
        return self._closed.popleft() if self._closed else None

    def due(self) -> float:
        """When `take` will have something: the time at which the open batch has waited long enough, or never."""
        if self._closed:
            return 0.0
        return self._open.opened + self._timeout() if self._open.tasks else float("inf")

    def is_idle(self) -> bool:
        return not self.running and not self._closed and not self._open.tasks

    def _is_due(self, now: float) -> bool:
        full = self._open.rows >= self.parameters.rows_at_once
        return self.closing or full or now >= self._open.opened + self._timeout()

    def _timeout(self) -> float:
        return self.parameters.batch_timeout_micros / 1e6

    def _close_open(self) -> None:
        self._closed.append(self._open)
        self._open = Batch()
