"""gRPC over a plain channel, for threads and for asyncio."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, TypeVar

import grpc
import grpc.aio
import numpy as np

from serving.client import grpc_wire
from serving.client.contract import Tensor
from serving.client.errors import RequestError
from serving.client.exchange import Exchange
from serving.client.transport import Answer, Target, VersionStatus, authority

T = TypeVar("T")


class GrpcTransport:
    """One channel to one server, reused by every call and safe to share between threads."""

    def __init__(self, host: str = "127.0.0.1", port: int = 8500) -> None:
        self.address = authority(host, port)
        self._channel = grpc.insecure_channel(self.address, options=grpc_wire.OPTIONS)
        self._calls: Dict[str, Any] = {}

    def predict(
        self, target: Target, arrays: Mapping[str, np.ndarray], outputs: Mapping[str, Tensor], wanted: Sequence[str],
        seconds: float,
    ) -> Answer:
        """Runs a signature; the answer tells the version."""
        return self._ask(grpc_wire.predict(target, arrays, wanted), seconds)

    def signatures(self, target: Target, seconds: float) -> Any:
        """The SignatureDefMap of a version."""
        return self._ask(grpc_wire.signatures(target), seconds)

    def status(self, target: Target, seconds: float) -> List[VersionStatus]:
        """Every version of a model, or the one of the target."""
        return self._ask(grpc_wire.status(target), seconds)

    def reload(self, config: bytes, seconds: float) -> None:
        """Replaces the server's whole list of models by a ModelServerConfig. gRPC alone can."""
        self._ask(grpc_wire.reload(config), seconds)

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def _ask(self, exchange: Exchange[T], seconds: float) -> T:
        call = self._calls.get(exchange.path)
        if call is None:
            call = self._calls[exchange.path] = self._channel.unary_unary(exchange.path)
        try:
            content: bytes = call(exchange.body, timeout=seconds)
        except grpc.RpcError as error:
            raise grpc_wire.failure(self.address, error.code().name, error.details() or "") from error
        except ValueError as error:
            raise RequestError(f"the connection to {self.address} was closed; open another client") from error
        return exchange.read(content)


class AsyncGrpcTransport:
    """One channel to one server for all tasks of one event loop, that of the first call."""

    def __init__(self, host: str = "127.0.0.1", port: int = 8500) -> None:
        self.address = authority(host, port)
        self._channel: Optional[grpc.aio.Channel] = None
        self._calls: Dict[str, Any] = {}
        self._closed = False

    def prepare(
        self, target: Target, arrays: Mapping[str, np.ndarray], outputs: Mapping[str, Tensor], wanted: Sequence[str]
    ) -> Exchange[Answer]:
        """A predict request to send as often as wanted."""
        return grpc_wire.predict(target, arrays, wanted)

    async def send(self, exchange: Exchange[Any], seconds: float) -> bytes:
        """The answer's bytes, not yet decoded."""
        if self._closed:
            raise RequestError(f"the connection to {self.address} was closed; open another client")
        if self._channel is None:  # made here, because it belongs to the running event loop
            self._channel = grpc.aio.insecure_channel(self.address, options=grpc_wire.OPTIONS)
        call = self._calls.get(exchange.path)
        if call is None:
            call = self._calls[exchange.path] = self._channel.unary_unary(exchange.path)
        try:
            content: bytes = await call(exchange.body, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            raise grpc_wire.failure(self.address, error.code().name, error.details() or "") from error
        return content

    async def predict(
        self, target: Target, arrays: Mapping[str, np.ndarray], outputs: Mapping[str, Tensor], wanted: Sequence[str],
        seconds: float,
    ) -> Answer:
        """Runs a signature; the answer tells the version."""
        return await self._ask(grpc_wire.predict(target, arrays, wanted), seconds)

    async def signatures(self, target: Target, seconds: float) -> Any:
        """The SignatureDefMap of a version."""
        return await self._ask(grpc_wire.signatures(target), seconds)

    async def status(self, target: Target, seconds: float) -> List[VersionStatus]:
        """Every version of a model, or the one of the target."""
        return await self._ask(grpc_wire.status(target), seconds)

    async def close(self) -> None:
        """Closes the channel; calls under way end as cancelled."""
        self._closed = True
        if self._channel is not None:
            await self._channel.close()

    async def _ask(self, exchange: Exchange[T], seconds: float) -> T:
        return exchange.read(await self.send(exchange, seconds))
