"""The client: checks against the contract, sends, names what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence

from serving.client import contract as contracts
from serving.client.contract import Contract
from serving.client.encode import Inputs, encode
from serving.client.errors import NotFound, Refused, RequestError
from serving.client.transport import Answer, Target, Transport, VersionStatus
from signatures.manifest import Manifest


@dataclass
class Client:
    """One server over one transport. Contracts come from `manifests` (by model), else once from the server itself."""

    transport: Transport
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    deadline_seconds: float = 10.0
    _contracts: Dict[Target, Contract] = field(default_factory=dict, repr=False)

    def predict(
        self, model: str, inputs: Inputs, signature: str = "serving_default", version: Optional[int] = None,
        label: Optional[str] = None, outputs: Sequence[str] = (), deadline_seconds: Optional[float] = None,
    ) -> Answer:
        """Runs a signature on columns or rows. Raises a ClientError; RequestError means that nothing was sent."""
        target = Target(model, signature, version, label)
        contract = self.contract(target)
        unknown = [name for name in outputs if name not in contract.outputs]
        if unknown:
            raise RequestError(f"signature {signature!r} of model {model!r} has no output {unknown[0]!r}; "
                               f"it has {', '.join(sorted(contract.outputs))}")
        arrays = encode(contract, inputs)
        try:
            return self.transport.predict(target, arrays, contract.outputs, outputs, self._seconds(deadline_seconds))
        except (Refused, NotFound):
            # The server may have taken a version with another signature since: ask it again the next time.
            self._contracts.pop(target, None)
            raise

    def contract(self, target: Target) -> Contract:
        """What a signature takes and gives. Raises RequestError when the model has no such signature."""
        manifest = self.manifests.get(target.model)
        if manifest is not None and target.label is None and target.version in (None, manifest.version):
            return contracts.from_manifest(manifest, target.signature)
        if target not in self._contracts:
            signatures: Any = self.transport.signatures(target, self.deadline_seconds)
            self._contracts[target] = contracts.from_metadata(target.model, signatures, target.signature)
        return self._contracts[target]

    def status(self, model: str, version: Optional[int] = None) -> List[VersionStatus]:
        """Every version of a model that the server knows, newest first, or one."""
        return self.transport.status(Target(model, version=version), self.deadline_seconds)

    def close(self) -> None:
        """Gives up the connection."""
        self.transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _seconds(self, given: Optional[float]) -> float:
        return self.deadline_seconds if given is None else given
