"""What a client needs of a transport; the seam where tests put another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Protocol, Sequence

import numpy as np

from serving.client.contract import Tensor
from serving.client.exchange import Exchange


@dataclass(frozen=True)
class Target:
    """Which servable: the newest version when neither version nor label is given."""

    model: str
    signature: str = "serving_default"
    version: Optional[int] = None
    label: Optional[str] = None


@dataclass(frozen=True)
class Answer:
    """The outputs by name; the version that computed them, where the transport tells it (gRPC does, REST does not)."""

    outputs: Dict[str, np.ndarray]
    version: Optional[int]


@dataclass(frozen=True)
class VersionStatus:
    """One version as the server reports it: START, LOADING, AVAILABLE, UNLOADING or END."""

    version: int
    state: str
    error: str


class Transport(Protocol):
    """Each call raises a ClientError; `seconds` is its deadline."""

    def predict(
        self, target: Target, arrays: Mapping[str, np.ndarray], outputs: Mapping[str, Tensor], wanted: Sequence[str],
        seconds: float,
    ) -> Answer:
        """Runs a signature. `outputs` are all that it has, `wanted` those to return, all when empty."""

    def signatures(self, target: Target, seconds: float) -> Any:
        """The SignatureDefMap of a version."""

    def status(self, target: Target, seconds: float) -> List[VersionStatus]:
        """Every version of a model, or the one of the target."""

    def close(self) -> None:
        """Gives up the connection."""


class AsyncTransport(Protocol):
    """The same for asyncio, and the two halves of a predict call for those who send one request many times."""

    address: str

    async def predict(
        self, target: Target, arrays: Mapping[str, np.ndarray], outputs: Mapping[str, Tensor], wanted: Sequence[str],
        seconds: float,
    ) -> Answer:
        """Runs a signature."""

    async def signatures(self, target: Target, seconds: float) -> Any:
        """The SignatureDefMap of a version."""

    async def status(self, target: Target, seconds: float) -> List[VersionStatus]:
        """Every version of a model, or the one of the target."""

    def prepare(
        self, target: Target, arrays: Mapping[str, np.ndarray], outputs: Mapping[str, Tensor], wanted: Sequence[str]
    ) -> Exchange[Answer]:
        """A predict request, encoded."""

    async def send(self, exchange: Exchange[Any], seconds: float) -> bytes:
        """The answer's bytes, not yet decoded."""

    async def close(self) -> None:
        """Gives up the connection."""


def authority(host: str, port: int) -> str:
    """host:port as gRPC and URLs write it; an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
