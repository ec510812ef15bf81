"""The body of a REST request: whole, in time and within limits, or not at all."""

from __future__ import annotations

import zlib
from typing import Awaitable, Callable, List

import anyio
from starlette.requests import Request

_DRAINED = 16
"""Times the limit that is still read, and thrown away, of a body that is too large: a client in the middle of sending
would find its connection broken, and never read why."""


class BodyTooLarge(Exception):
    """The body passed the limit; nothing of it was kept."""


class BodyTooSlow(Exception):
    """The body was not there in time."""


async def read(request: Request, limit: int, seconds: float, in_thread: Callable[..., Awaitable[bytes]]) -> bytes:
    """The body, decompressed. Raises BodyTooLarge, BodyTooSlow, and ClientDisconnect when it never came.

    limit: bytes, before and after decompression. seconds: for the whole of it; 0 for ever. in_thread: runs a function
    and its arguments beside the event loop.
    """
    try:
        with anyio.fail_after(seconds or None):
            body = await _received(request, limit)
    except TimeoutError as error:
        raise BodyTooSlow from error
    if "gzip" in request.headers.get("content-encoding", ""):
        return await in_thread(_gunzip, body, limit)
    return body


async def _received(request: Request, limit: int) -> bytes:
    parts: List[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= limit:
            parts.append(part)
        else:
            parts.clear()
        if size > limit * _DRAINED:
            break
    if size > limit:
        raise BodyTooLarge
    return b"".join(parts)


def _gunzip(body: bytes, limit: int) -> bytes:
    """The decompressed body; empty when it cannot be decompressed, which is then answered as an empty document."""
    reader = zlib.decompressobj(wbits=31)
    try:
        plain = reader.decompress(body, limit)
    except zlib.error:
        return b""
    if reader.unconsumed_tail:
        raise BodyTooLarge
    return plain if reader.eof else b""
