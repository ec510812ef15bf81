"""The client: checks against the contract, sends, names what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Mapping, Optional, Sequence

from serving.client.contract import Contract
from serving.client.encode import Inputs
from serving.client.flow import drive
from serving.client.retry import Retry
from serving.client.session import Session
from serving.client.transport import Answer, Target, Transport, VersionStatus
from signatures.manifest import Manifest


@dataclass
class Client:
    """One server over one transport, safe to share between threads.

    Contracts come from `manifests` (by model), else once from the server itself. A deadline covers the whole call, its
    repeats and the question for the contract included.
    """

    transport: Transport
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    deadline_seconds: float = 10.0
    retry: Retry = Retry()
    _session: Session = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._session = Session(self.manifests, self.retry)

    def predict(
        self, model: str, inputs: Inputs, signature: str = "serving_default", version: Optional[int] = None,
        label: Optional[str] = None, outputs: Sequence[str] = (), deadline_seconds: Optional[float] = None,
    ) -> Answer:
        """Runs a signature on columns or rows. Raises a ClientError; RequestError means that nothing was sent."""
        target = Target(model, signature, version, label)
        seconds = self.deadline_seconds if deadline_seconds is None else deadline_seconds
        return drive(self._session.predict(target, inputs, outputs, seconds), self.transport)

    def contract(self, target: Target) -> Contract:
        """What a signature takes and gives. Raises RequestError when the model has no such signature."""
        return drive(self._session.contract(target, self.deadline_seconds), self.transport)

    def status(self, model: str, version: Optional[int] = None) -> List[VersionStatus]:
        """Every version of a model that the server knows, newest first, or one."""
        target = Target(model, version=version)
        return drive(self._session.status(target, self.deadline_seconds), self.transport)

    def close(self) -> None:
        """Gives up the connection."""
        self.transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
