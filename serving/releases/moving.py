"""The order of a release: load, check, move the labels, unload. Whatever fails, all of it is taken back.

A label moves only when its version answers, and a version goes only when no label is on it: clients that ask for a
label never meet a gap.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Iterator

from serving.client.errors import ClientError
from serving.client.transport import Target
from serving.releases import config as configs
from serving.releases.config import ConfigFile, State
from serving.releases.errors import NotUndone, ReleaseError
from serving.releases.log import DONE, FAILED, STARTED, WHOLE, Log
from serving.releases.server import Server
from signatures.errors import UsageError


@dataclass(frozen=True)
class Moving:
    """One release under way."""

    file: ConfigFile
    server: Server
    log: Log

    def load(self, versions: State) -> None:
        """Loads what the state wants beside all that answers now; no label moves."""
        model = self.log.model
        config = self.file.read()
        now = configs.state(config, model)
        # In the log before it is done: whoever finds the machine dead sees how far it came.
        self.log.write("load", STARTED, ", ".join(map(str, sorted(versions.versions or ()))))
        both = State(self.server.available(model), now.labels).plus(versions.versions or ())
        self._apply(configs.with_state(config, model, both))
        self.server.await_loaded(model, versions.versions or frozenset())
        self.log.write("load", DONE)

    def label(self, wanted: State) -> None:
        """Moves the labels, all versions staying loaded."""
        model = self.log.model
        config = self.file.read()
        now = configs.state(config, model)
        self._apply(configs.with_state(config, model, State(now.versions, wanted.labels)))
        for label in wanted.labels:
            self.server.client.transport.signatures(Target(model, label=label), self.server.deadline_seconds)
        told = ", ".join(f"{label} is {number}" for label, number in sorted(wanted.labels.items()))
        self.log.write("label", DONE, told or "no label")

    def unload(self, wanted: State) -> None:
        """Unloads what the state does not want."""
        assert wanted.versions is not None
        self._apply(configs.with_state(self.file.read(), self.log.model, wanted))
        self.server.await_unloaded(self.log.model, wanted.versions)
        self.log.write("unload", DONE, f"loaded: {', '.join(map(str, sorted(wanted.versions)))}")

    def _apply(self, config: Any) -> None:
        """The file first: a server that polls it must not find the old one after it has obeyed."""
        self.file.write(config)
        self.server.reload(config)


def move(moving: Moving, wanted: State, verify: Callable[[], None]) -> None:
    """Brings the model into the wanted state; `verify` looks at its versions when they are loaded, and may raise.

    Raises what failed as ReleaseError, when everything is as it was; NotUndone when that could not be had.
    """
    with undoing(moving):
        moving.load(wanted)
        verify()
        moving.label(wanted)
        moving.unload(wanted)
        moving.log.write(WHOLE, DONE)


@contextmanager
def undoing(moving: Moving) -> Iterator[None]:
    """Takes back whatever its block did, when that ends with an error, an interrupt included."""
    before, answered = moving.file.read(), moving.server.available(moving.log.model)
    try:
        yield
    except BaseException as error:
        moving.log.write(WHOLE, FAILED, str(error) or type(error).__name__)
        try:
            _undo(moving, before, answered)
        except (ClientError, ReleaseError, UsageError) as second:
            moving.log.write("undo", FAILED, str(second))
            raise NotUndone(f"{error}; and undoing it failed: {second}. {moving.file.path} is as it was: when the "
                            "server is well again, start it anew with that file") from error
        moving.log.write("undo", DONE)
        if isinstance(error, (ClientError, ReleaseError)):
            raise ReleaseError(f"{error}; everything is as it was") from error
        raise


def _undo(moving: Moving, before: Any, answered: Any) -> None:
    """What answered before is loaded first, for its labels may only come back to it then."""
    model = moving.log.model
    now = moving.file.read()
    moving.file.write(before)
    available, labels = moving.server.available(model), configs.state(before, model).labels
    if not available.issuperset(labels.values()):
        labels = configs.state(now, model).labels  # they have moved, and what they were on is gone
    both = State(available, labels).plus(answered)
    moving.server.reload(configs.with_state(now, model, both))
    moving.server.await_loaded(model, answered)
    moving.server.reload(before)
    moving.server.await_loaded(model, answered)
    moving.server.await_unloaded(model, answered)
