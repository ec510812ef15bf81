"""The threads that run batches, shared by the queues of all models, each queue in its turn."""

from __future__ import annotations

import threading
import time
from typing import List, Optional, Tuple

from serving.embedded.batching.queue import Batch, Queue, Task


class Scheduler:
    """`submit` never waits; a task's answer comes from one of `threads` threads."""

    def __init__(self, threads: int, name: str) -> None:
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._idle = threading.Condition(self._lock)
        self._queues: List[Queue] = []
        self._turn = 0
        self._closed = False
        names = [f"{name}_{number}" for number in range(threads)]
        self._threads = [threading.Thread(target=self._run_batches, name=each, daemon=True) for each in names]
        for thread in self._threads:
            thread.start()

    def add(self, queue: Queue) -> None:
        """Serves a queue from now on."""
        with self._lock:
            self._queues.append(queue)

    def remove(self, queue: Queue) -> None:
        """Runs what the queue holds, at once, and lets it go."""
        with self._lock:
            queue.closing = True
            self._work.notify_all()
            self._idle.wait_for(queue.is_idle)
            self._queues.remove(queue)

    def submit(self, queue: Queue, task: Task) -> List[Tuple[int, Task]]:
        """Takes a request, whole or in parts: (first row, part). Raises StatusError when it is too large, or too many.

        A part's own inputs are views of the request's rows.
        """
        with self._lock:
            queue.check(task.rows)
            parts, start = [], 0
            for size in queue.sizes(task.rows):
                whole = size == task.rows
                part = task if whole else Task(
                    [value[start:start + size] for value in task.values], size, task.entered, task.deadline
                )
                queue.put(part)
                parts.append((start, part))
                start += size
            self._work.notify()
        return parts

    def close(self) -> None:
        """Ends the threads; every queue has been removed."""
        with self._lock:
            self._closed = True
            self._work.notify_all()
        for thread in self._threads:
            thread.join()

    def _run_batches(self) -> None:
        while True:
            with self._lock:
                found = self._take()
                while found is None:
                    if self._closed:
                        return
                    self._work.wait(self._patience())
                    found = self._take()
            queue, batch = found
            try:
                queue.process(batch)
            finally:
                with self._lock:
                    queue.running -= 1
                    if queue.closing:
                        self._idle.notify_all()

    def _take(self) -> Optional[Tuple[Queue, Batch]]:
        """The next batch that is due, beginning with the queue whose turn it is."""
        now = time.monotonic()
        for offset in range(len(self._queues)):
            position = (self._turn + offset) % len(self._queues)
            queue = self._queues[position]
            batch = queue.take(now)
            if batch is not None:
                self._turn = position + 1
                queue.running += 1
                # Whoever was waiting for an open batch to come of age may be the one that now runs this batch.
                self._work.notify()
                return queue, batch
        return None

    def _patience(self) -> Optional[float]:
        """Seconds until some open batch is due; None when none is open."""
        due = min((queue.due() for queue in self._queues), default=float("inf"))
        return None if due == float("inf") else max(0.0, due - time.monotonic())
