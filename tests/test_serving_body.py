"""The body of a REST request: how much of it is read, how much is kept, and how long it may take."""

from __future__ import annotations

import gzip
import tracemalloc
from typing import Any, AsyncIterator, Dict, List

import anyio
import pytest

from serving.embedded.body import BodyTooLarge, BodyTooSlow, read

PART = 64 * 1024


class Sent:
    """Stands for a request: its parts, each after a pause; `read` counts those that were taken."""

    def __init__(self, count: int, part: bytes = b"x" * PART, pause: float = 0, **headers: str) -> None:
        self.read = 0
        self.headers: Dict[str, str] = {name.replace("_", "-"): value for name, value in headers.items()}
        self._count, self._part, self._pause = count, part, pause

    async def stream(self) -> AsyncIterator[bytes]:
        for _ in range(self._count):
            await anyio.sleep(self._pause)
            self.read += 1
            yield bytes(bytearray(self._part))  # each with memory of its own


def received(sent: Any, limit: int, seconds: float = 10) -> bytes:
    async def at_once(function: Any, *arguments: Any) -> bytes:
        found: bytes = function(*arguments)
        return found

    async def ask() -> bytes:
        return await read(sent, limit, seconds, at_once)

    return anyio.run(ask)


def test_body_within_the_limit() -> None:
    assert received(Sent(3), 3 * PART) == b"x" * 3 * PART


def test_body_beyond_the_limit_is_read_but_not_kept() -> None:
    sent = Sent(160)
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            received(sent, 16 * PART)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sent.read == 160  # so that its sender comes to read the answer
    assert peak < 32 * PART  # kept while it might still be good, and dropped when it was not


def test_body_far_beyond_the_limit_is_not_even_read() -> None:
    sent = Sent(1000)
    with pytest.raises(BodyTooLarge):
        received(sent, 4 * PART)
    assert sent.read == 16 * 4 + 1


def test_body_that_does_not_come() -> None:
    with pytest.raises(BodyTooSlow):
        received(Sent(100, pause=0.05), 10**9, seconds=0.1)
    assert received(Sent(3, b"a", pause=0.05), 10**9, seconds=0) == b"aaa"  # 0: for ever


@pytest.mark.parametrize(
    ("parts", "expected"),
    [([gzip.compress(b"abc")], b"abc"), ([b"no gzip"], b""), ([gzip.compress(b"abc")[:-6]], b"")],
)
def test_compressed_body(parts: List[bytes], expected: bytes) -> None:
    assert received(Sent(1, parts[0], content_encoding="gzip"), 1000) == expected


def test_compressed_body_that_grows_beyond_the_limit() -> None:
    bomb = gzip.compress(b" " * 1001)
    with pytest.raises(BodyTooLarge):
        received(Sent(1, bomb, content_encoding="gzip"), 1000)
    assert len(received(Sent(1, bomb, content_encoding="gzip"), 1001)) == 1001
