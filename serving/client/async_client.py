"""The client for asyncio: the same checks, names and errors as the other, for many calls at once in one thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Mapping, Optional, Sequence

from serving.client.contract import Contract
from serving.client.encode import Inputs
from serving.client.flow import drive_async
from serving.client.retry import Retry
from serving.client.session import Session
from serving.client.transport import Answer, AsyncTransport, Target, VersionStatus
from signatures.manifest import Manifest


@dataclass
class AsyncClient:
    """One server over one transport, for all tasks of one event loop; see Client for the fields."""

    transport: AsyncTransport
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    deadline_seconds: float = 10.0
    retry: Retry = Retry()
    _session: Session = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._session = Session(self.manifests, self.retry)

    async def predict(
        self, model: str, inputs: Inputs, signature: str = "serving_default", version: Optional[int] = None,
        label: Optional[str] = None, outputs: Sequence[str] = (), deadline_seconds: Optional[float] = None,
    ) -> Answer:
        """Runs a signature on columns or rows. Raises a ClientError; RequestError means that nothing was sent."""
        target = Target(model, signature, version, label)
        seconds = self.deadline_seconds if deadline_seconds is None else deadline_seconds
        return await drive_async(self._session.predict(target, inputs, outputs, seconds), self.transport)

    async def contract(self, target: Target) -> Contract:
        """What a signature takes and gives. Raises RequestError when the model has no such signature."""
        return await drive_async(self._session.contract(target, self.deadline_seconds), self.transport)

    async def status(self, model: str, version: Optional[int] = None) -> List[VersionStatus]:
        """Every version of a model that the server knows, newest first, or one."""
        target = Target(model, version=version)
        return await drive_async(self._session.status(target, self.deadline_seconds), self.transport)

    async def close(self) -> None:
        """Gives up the connection."""
        await self.transport.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
