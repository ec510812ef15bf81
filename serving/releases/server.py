"""What releases ask of a running server: another model list, and which versions it has loaded since."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Callable, FrozenSet, List

from serving.client.client import Client
from serving.client.errors import ClientError, NotFound
from serving.client.grpc_transport import GrpcTransport
from serving.client.transport import VersionStatus
from serving.releases import config as configs
from serving.releases.errors import ReleaseError

_LOOK_SECONDS = 0.1
AVAILABLE = "AVAILABLE"


@dataclass
class Server:
    """One server over gRPC, which alone can replace a model list. `load_seconds`: how long a version may load."""

    transport: GrpcTransport
    deadline_seconds: float = 10.0
    load_seconds: float = 300.0
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = Client(self.transport, deadline_seconds=self.deadline_seconds)

    def reload(self, config: Any) -> None:
        """Replaces the list by what the config says of models that the server has: a release brings no other ones.

        Raises a ClientError, with the server's words.
        """
        served = {name for name in configs.names(config) if self.versions(name)}
        self.transport.reload(configs.only(config, served).SerializeToString(), self.load_seconds)

    def versions(self, model: str) -> List[VersionStatus]:
        """Every version that the server knows, newest first; none for a model that it has not."""
        try:
            return self.client.status(model)
        except NotFound:
            return []

    def available(self, model: str) -> FrozenSet[int]:
        """The versions that answer."""
        return frozenset(told.version for told in self.versions(model) if told.state == AVAILABLE)

    def await_loaded(self, model: str, versions: FrozenSet[int]) -> None:
        """Returns when all of them answer. Raises ReleaseError when one cannot be loaded, or takes too long."""

        def loaded() -> bool:
            known = {told.version: told for told in self.versions(model)}
            for number in sorted(versions & known.keys()):
                if known[number].error and known[number].state != AVAILABLE:
                    told = " ".join(known[number].error.split())
                    raise ReleaseError(f"the server cannot load version {number} of {model}: {told}")
            return all(number in known and known[number].state == AVAILABLE for number in versions)

        numbers = ", ".join(map(str, sorted(versions)))
        self._await(loaded, f"version {numbers} of {model} was not loaded within {self.load_seconds:g} s; is it where "
                            "the server looks? Allow more with --load-seconds")

    def await_unloaded(self, model: str, kept: FrozenSet[int]) -> None:
        """Returns when no other version answers. Raises ReleaseError when that takes too long."""
        self._await(lambda: self.available(model) <= kept,
                    f"the server did not unload the other versions of {model} within {self.load_seconds:g} s")

    def _await(self, come: Callable[[], bool], late: str) -> None:
        end = time.monotonic() + self.load_seconds
        while True:
            try:
                if come():
                    return
            except ClientError as error:
                if not error.retry or time.monotonic() >= end:
                    raise
            if time.monotonic() >= end:
                raise ReleaseError(late)
            time.sleep(_LOOK_SECONDS)
