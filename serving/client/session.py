"""The calls of a client as flows: find the contract, check against it, ask, ask again where that helps."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from serving.client import contract as contracts
from serving.client.contract import Contract
from serving.client.encode import Inputs, encode
from serving.client.errors import ClientError, DeadlineExceeded, NotFound, Refused, RequestError
from serving.client.flow import Ask, Flow, Pause
from serving.client.retry import Budget, Retry
from serving.client.transport import Answer, Target, VersionStatus
from signatures.manifest import Manifest

Operation = Callable[[Any, float], Any]
"""Of a transport and the seconds that it has."""


@dataclass
class Session:
    """What the calls of one client share. `clock` is in seconds, `chance` gives numbers between 0 and 1."""

    manifests: Mapping[str, Manifest]
    retry: Retry
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    _contracts: Dict[Target, Contract] = field(default_factory=dict)
    _budget: Budget = field(init=False)

    def __post_init__(self) -> None:
        self._budget = Budget(self.retry)

    def predict(self, target: Target, inputs: Inputs, outputs: Sequence[str], seconds: float) -> Flow[Answer]:
        """Raises a ClientError; RequestError means that nothing was sent."""
        end = self.clock() + seconds
        contract = yield from self._contract(target, end)
        unknown = [name for name in outputs if name not in contract.outputs]
        if unknown:
            raise RequestError(f"signature {target.signature!r} of model {target.model!r} has no output "
                               f"{unknown[0]!r}; it has {', '.join(sorted(contract.outputs))}")
        arrays = encode(contract, inputs)
        try:
            return (yield from self._ask(
                lambda transport, left: transport.predict(target, arrays, contract.outputs, outputs, left), end
            ))
        except (Refused, NotFound):
            # The server may have taken a version with another signature since: ask it again the next time.
            self._contracts.pop(target, None)
            raise

    def contract(self, target: Target, seconds: float) -> Flow[Contract]:
        """Raises RequestError when the model has no such signature."""
        return (yield from self._contract(target, self.clock() + seconds))

    def status(self, target: Target, seconds: float) -> Flow[List[VersionStatus]]:
        """Every version of a model, or the one of the target."""
        end = self.clock() + seconds
        return (yield from self._ask(lambda transport, left: transport.status(target, left), end))

    def _contract(self, target: Target, end: float) -> Flow[Contract]:
        if target in self._contracts:
            return self._contracts[target]
        manifest = self.manifests.get(target.model)
        if manifest is not None and target.label is None and target.version in (None, manifest.version):
            found = contracts.from_manifest(manifest, target.signature)
        else:
            signatures = yield from self._ask(lambda transport, left: transport.signatures(target, left), end)
            found = contracts.from_metadata(target.model, signatures, target.signature)
        self._contracts[target] = found
        return found

    def _ask(self, operation: Operation, end: float) -> Flow[Any]:
        """One question with its repeats, all of it before `end`."""
        last: Optional[ClientError] = None
        for attempt in range(1, self.retry.attempts + 1):
            left = end - self.clock()
            if left <= 0:
                raise last or DeadlineExceeded("the deadline passed before the request was sent")
            seconds = left if self.retry.attempt_seconds is None else min(left, self.retry.attempt_seconds)
            try:
                answer = yield _within(operation, seconds)
            except ClientError as error:
                pause = self.retry.pause(attempt, self.chance())
                too_late = pause >= end - self.clock()
                if attempt == self.retry.attempts or too_late or not self.retry.helps(error) or not self._budget.take():
                    raise
                last = error
                yield Pause(pause)
            else:
                self._budget.earn()
                return answer
        raise AssertionError("the last attempt returns or raises")


def _within(operation: Operation, seconds: float) -> Ask:
    return Ask(lambda transport: operation(transport, seconds))
