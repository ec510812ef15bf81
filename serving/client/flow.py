"""What a call does, step by step, written once for threads and for asyncio.

A flow is a generator: it yields what is to be done, is sent what came of it, and returns the call's result. Only
`drive` and `drive_async` know how to wait.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Callable, Generator, TypeVar, Union

from serving.client.errors import ClientError

T = TypeVar("T")


@dataclass(frozen=True)
class Ask:
    """Call this with the transport; an async transport returns an awaitable."""

    operation: Callable[[Any], Any]


@dataclass(frozen=True)
class Pause:
    """Let time pass."""

    seconds: float


Step = Union[Ask, Pause]
Flow = Generator[Step, Any, T]


def drive(flow: Flow[T], transport: Any) -> T:
    """Runs a flow in this thread."""
    try:
        step = next(flow)
        while True:
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                step = flow.send(None)
                continue
            try:
                came = step.operation(transport)
            except ClientError as error:
                step = flow.throw(error)
            else:
                step = flow.send(came)
    except StopIteration as end:
        result: T = end.value
        return result


async def drive_async(flow: Flow[T], transport: Any) -> T:
    """Runs a flow in this task."""
    try:
        step = next(flow)
        while True:
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                step = flow.send(None)
                continue
            try:
                came = await step.operation(transport)
            except ClientError as error:
                step = flow.throw(error)
            else:
                step = flow.send(came)
    except StopIteration as end:
        result: T = end.value
        return result
