"""Runs a load test in one thread: an event loop holds all requests under way, their bytes made beforehand."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Callable, Optional, Sequence, Set

from serving.client.errors import ClientError, Unavailable
from serving.client.transport import AsyncTransport
from serving.load.plan import LARGEST, Closed, Open, Plan, due
from serving.load.result import Result, summarise
from serving.load.samples import NOT_SENT, Samples
from serving.load.sources import Shot

_BREATH_SECONDS = 0.02
"""What a caller of a closed loop waits after it found no server, so as not to ask thousands of times a second."""


def measure(opening: Callable[[], AsyncTransport], shots: Sequence[Shot], plan: Plan) -> Result:
    """Sends the shots in turn, as the plan says. `opening` makes the transport, which is closed at the end."""
    return summarise(gather(opening, shots, plan), plan)


def gather(opening: Callable[[], AsyncTransport], shots: Sequence[Shot], plan: Plan) -> Samples:
    """The same, not yet summarised."""
    return asyncio.run(_gather(opening, shots, plan))


async def _gather(opening: Callable[[], AsyncTransport], shots: Sequence[Shot], plan: Plan) -> Samples:
    transport = opening()
    try:
        test = _Test(transport, shots, plan, time.perf_counter() + plan.warm_up_seconds)
        await (_open(test, plan.loop) if isinstance(plan.loop, Open) else _closed(test, plan.loop))
    finally:
        await transport.close()
    return test.samples


class _Test:
    """A test under way. Times are seconds since the end of the warm-up, so negative within it."""

    def __init__(self, transport: AsyncTransport, shots: Sequence[Shot], plan: Plan, start: float) -> None:
        self.transport, self.shots, self.plan = transport, shots, plan
        self.samples = Samples()
        self._start = start
        self._number = 0
        self._measured = 0

    def now(self) -> float:
        return time.perf_counter() - self._start

    def next(self, due_at: float) -> Optional[Shot]:
        """The next request; None when the test is over."""
        if due_at >= self.plan.seconds:
            return None
        if due_at >= 0:
            if self._measured == (self.plan.requests or LARGEST):
                return None
            self._measured += 1
        self._number += 1
        return self.shots[(self._number - 1) % len(self.shots)]

    async def send(self, shot: Shot, due_at: float) -> bool:
        """Sends one request and notes how it ended; whether a server was there."""
        sent = self.now()
        try:
            await self.transport.send(shot.exchange, self.plan.deadline_seconds)
        except ClientError as error:
            if due_at >= 0:
                self.samples.fail(due_at, sent, self.now(), type(error).__name__, str(error))
            return not isinstance(error, Unavailable)
        if due_at >= 0:
            self.samples.add(due_at, sent, self.now(), shot.rows)
        return True

    def give_up(self, due_at: float) -> None:
        """Notes a request that was never sent."""
        if due_at >= 0:
            now = self.now()
            told = f"no place for it within {self.plan.deadline_seconds:g} s of the moment that it was due"
            self.samples.fail(due_at, now, now, NOT_SENT, told)


async def _closed(test: _Test, loop: Closed) -> None:
    async def caller() -> None:
        while True:
            due_at = test.now()
            shot = test.next(due_at)
            if shot is None:
                return
            if not await test.send(shot, due_at):
                await asyncio.sleep(_BREATH_SECONDS)

    await asyncio.gather(*(caller() for _ in range(loop.concurrency)))


async def _open(test: _Test, loop: Open) -> None:
    under_way: Set[asyncio.Task] = set()
    freed = asyncio.Event()

    def ended(task: asyncio.Task) -> None:
        under_way.discard(task)
        freed.set()

    warm_up = test.plan.warm_up_seconds
    for offset in due(loop, warm_up + test.plan.seconds, test.plan.seed):
        due_at = offset - warm_up
        # Also when it is late already: answers must be let in between.
        await asyncio.sleep(max(0.0, due_at - test.now()))
        shot = test.next(due_at)
        if shot is None:
            break
        latest = due_at + test.plan.deadline_seconds
        while len(under_way) >= loop.in_flight and test.now() < latest:
            freed.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(freed.wait(), latest - test.now())
        if test.now() >= latest:
            test.give_up(due_at)
            continue
        task = asyncio.ensure_future(test.send(shot, due_at))
        under_way.add(task)
        task.add_done_callback(ended)
    if under_way:
        await asyncio.gather(*under_way)
