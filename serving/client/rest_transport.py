"""The REST API over pooled connections, for threads and for asyncio."""

from __future__ import annotations

import asyncio
import time
from typing import Any, List, Mapping, Optional, Sequence, TypeVar

import httpx
import numpy as np

from serving.client import http_errors, rest_wire
from serving.client.contract import Tensor
from serving.client.exchange import Exchange
from serving.client.transport import Answer, Target, VersionStatus, authority

T = TypeVar("T")

_KEPT_SECONDS = 30
_POOL = httpx.Limits(max_connections=None, max_keepalive_connections=1000, keepalive_expiry=_KEPT_SECONDS)
"""Every connection is kept for the next request; how many there are is for the caller's concurrency to say."""
_ONE = httpx.Limits(max_connections=1, keepalive_expiry=_KEPT_SECONDS)


class RestTransport:
    """One pool of connections to one server, safe to share between threads; `transport` replaces the network."""

    def __init__(
        self, host: str = "127.0.0.1", port: int = 8501, transport: Optional[httpx.BaseTransport] = None
    ) -> None:
        self.address = f"http://{authority(host, port)}"
        with http_errors.address(self.address):
            # No proxy from the environment: a model server is an address of one's own network. And no certificates:
            # reading them takes 70 ms, and plain HTTP never asks for one.
            self._http = httpx.Client(
                base_url=self.address, transport=transport, trust_env=False, limits=_POOL, verify=False
            )

    def predict(
        self, target: Target, arrays: Mapping[str, np.ndarray], outputs: Mapping[str, Tensor], wanted: Sequence[str],
        seconds: float,
    ) -> Answer:
        """Runs a signature."""
        return self._ask(rest_wire.predict(target, arrays, outputs, wanted), seconds)

    def signatures(self, target: Target, seconds: float) -> Any:
        """The SignatureDefMap of a version."""
        return self._ask(rest_wire.signatures(target), seconds)

    def status(self, target: Target, seconds: float) -> List[VersionStatus]:
        """Every version of a model, or the one of the target."""
        return self._ask(rest_wire.status(target), seconds)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def _ask(self, exchange: Exchange[T], seconds: float) -> T:
        if self._http.is_closed:
            raise http_errors.closed(self.address)
        end = time.monotonic() + seconds
        parts: List[bytes] = []
        with http_errors.told(self.address, seconds), self._http.stream(
            exchange.verb, exchange.path, content=exchange.body, timeout=max(seconds, 1e-3)
        ) as response:
            for part in response.iter_bytes():
                parts.append(part)
                # httpx' timeout is for each read, and a server that trickles never meets it.
                if time.monotonic() > end:
                    raise http_errors.late(self.address, seconds)
        content = b"".join(parts)
        if not response.is_success:
            raise rest_wire.failure(self.address, response.status_code, content)
        return exchange.read(content)


class AsyncRestTransport:
    """Connections to one server for all tasks of one event loop; `transport` replaces the network.

    Each of httpx' transports here holds a single connection: its own pool looks at every connection at every request,
    which with 16 callers costs three times as much as the request itself.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 8501, transport: Optional[httpx.AsyncBaseTransport] = None
    ) -> None:
        self.address = f"http://{authority(host, port)}"
        with http_errors.address(self.address):
            self._url = httpx.URL(self.address)
        self._given = transport
        self._idle: List[httpx.AsyncBaseTransport] = []
        self._closed = False

    def prepare(
        self, target: Target, arrays: Mapping[str, np.ndarray], outputs: Mapping[str, Tensor], wanted: Sequence[str]
    ) -> Exchange[Answer]:
        """A predict request to send as often as wanted."""
        return rest_wire.predict(target, arrays, outputs, wanted)

    async def send(self, exchange: Exchange[Any], seconds: float) -> bytes:
        """The answer's bytes, not yet decoded."""
        if self._closed:
            raise http_errors.closed(self.address)
        request = httpx.Request(exchange.verb, self._url.join(exchange.path), content=exchange.body)
        connection = self._given or (self._idle.pop() if self._idle else _connection())
        try:
            with http_errors.told(self.address, seconds):
                response = await asyncio.wait_for(_response(connection, request), seconds)
        except BaseException:
            await connection.aclose()
            raise
        if self._closed:
            await connection.aclose()
        elif self._given is None:
            self._idle.append(connection)
        if not response.is_success:
            raise rest_wire.failure(self.address, response.status_code, response.content)
        return response.content

    async def predict(
        self, target: Target, arrays: Mapping[str, np.ndarray], outputs: Mapping[str, Tensor], wanted: Sequence[str],
        seconds: float,
    ) -> Answer:
        """Runs a signature."""
        return await self._ask(rest_wire.predict(target, arrays, outputs, wanted), seconds)

    async def signatures(self, target: Target, seconds: float) -> Any:
        """The SignatureDefMap of a version."""
        return await self._ask(rest_wire.signatures(target), seconds)

    async def status(self, target: Target, seconds: float) -> List[VersionStatus]:
        """Every version of a model, or the one of the target."""
        return await self._ask(rest_wire.status(target), seconds)

    async def close(self) -> None:
        """Closes the connections; those in use, as soon as they have their answer."""
        self._closed = True
        while self._idle:
            await self._idle.pop().aclose()

    async def _ask(self, exchange: Exchange[T], seconds: float) -> T:
        return exchange.read(await self.send(exchange, seconds))


def _connection() -> httpx.AsyncBaseTransport:
    return httpx.AsyncHTTPTransport(limits=_ONE, trust_env=False, verify=False)


async def _response(connection: httpx.AsyncBaseTransport, request: httpx.Request) -> httpx.Response:
    response = await connection.handle_async_request(request)
    await response.aread()
    await response.aclose()
    return response
