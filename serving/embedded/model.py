"""One model: its versions, each loaded in the background, served while in use, and closed by its last user."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Mapping, Optional

from serving.embedded.errors import StatusError
from serving.embedded.servable import Servable
from serving.embedded.turns import Turns

log = logging.getLogger(__name__)

_PATIENCE = 60.0
"""Seconds that closing a model waits for the requests under way."""
START, LOADING, AVAILABLE, UNLOADING, END = "START", "LOADING", "AVAILABLE", "UNLOADING", "END"


@dataclass(frozen=True)
class Retry:
    """A failed load is tried again `times` times, `seconds` apart."""

    times: int
    seconds: float


@dataclass
class Version:
    """One version folder, from the moment it was first wanted; kept when unloaded, so that its status can be told."""

    number: int
    path: Path
    state: str = START
    error: Optional[StatusError] = None
    servable: Optional[Servable] = None
    users: int = 0
    retry: Retry = Retry(0, 0)
    unwanted: threading.Event = field(default_factory=threading.Event)


class Model:
    """`aspire` says which versions should be served, `serving` lends one out; every state is behind one lock."""

    def __init__(self, name: str, load: Callable[[str, Path], Servable], loads: Turns, unloads: Turns) -> None:
        """loads, unloads: how many versions, of all models, may load and unload at the same time."""
        self.name = name
        self._load = load
        self._loads = loads
        self._unloads = unloads
        self._changed = threading.Condition()
        self._versions: Dict[int, Version] = {}
        self._aspired: Dict[int, Path] = {}

    def aspire(self, versions: Mapping[int, Path], retry: Retry) -> None:
        """Loads the versions that are new, and unloads those no longer wanted as soon as a wanted one is served."""
        with self._changed:
            self._aspired = dict(versions)
            for number, version in self._versions.items():
                if number not in versions:
                    version.unwanted.set()
            for number, path in versions.items():
                if self._needs_loading(number):
                    self._begin(Version(number, path, LOADING, retry=retry))
            self._retire()

    @contextmanager
    def serving(self, number: Optional[int]) -> Iterator[Version]:
        """An AVAILABLE version, the newest for None; it stays loaded inside the block. Raises StatusError NOT_FOUND."""
        with self._changed:
            available = [n for n, version in self._versions.items() if version.state == AVAILABLE]
            wanted = max(available, default=None) if number is None else number
            if wanted not in available:
                raise not_found(self.name, number)
            version = self._versions[wanted]
            version.users += 1
        try:
            yield version
        finally:
            with self._changed:
                version.users -= 1
                self._close_if_unused(version)

    def versions(self) -> List[Version]:
        """Every version ever wanted, newest first."""
        with self._changed:
            return [self._versions[number] for number in sorted(self._versions, reverse=True)]

    def await_first(self) -> Optional[StatusError]:
        """Waits until one wanted version is served (None), or every one of them has failed (the newest's error)."""
        with self._changed:
            while True:
                wanted = [self._versions[number] for number in sorted(self._aspired, reverse=True)]
                if any(version.state == AVAILABLE for version in wanted):
                    return None
                if all(version.error is not None for version in wanted):
                    return wanted[0].error if wanted else not_found(self.name, None)
                self._changed.wait()

    def close(self) -> None:
        """Unloads everything; returns when every load has ended and the last user has left, or taken far too long."""
        self.aspire({}, Retry(0, 0))
        with self._changed:
            self._changed.wait_for(lambda: all(v.state in (START, END) for v in self._versions.values()), _PATIENCE)

    def _needs_loading(self, number: int) -> bool:
        """A version that failed is not tried again until its folder has gone and come back."""
        version = self._versions.get(number)
        if version is None:
            return True
        return version.unwanted.is_set() and version.state == END

    def _begin(self, version: Version) -> None:
        self._versions[version.number] = version
        name = f"load {self.name} {version.number}"
        # No daemon, nor is the one that unloads: a thread inside TensorFlow when Python ends aborts the process.
        threading.Thread(target=self._load_version, args=(version,), name=name).start()

    def _load_version(self, version: Version) -> None:
        for attempt in range(version.retry.times + 1):
            if attempt and version.unwanted.wait(version.retry.seconds):
                break
            error = self._try_load(version)
            if error is None or error.code == "PERMISSION_DENIED":
                break
        with self._changed:
            if version.state == LOADING:
                version.state = END
            self._retire()
            self._changed.notify_all()

    def _try_load(self, version: Version) -> Optional[StatusError]:
        try:
            with self._loads:
                if version.unwanted.is_set():
                    return StatusError("CANCELLED", "no longer wanted when its turn came")
                servable = self._load(self.name, version.path)
        except StatusError as failure:
            error = failure
        except Exception as failure:  # noqa: BLE001  (a version that breaks in any way must not take the server down)
            log.exception("loading %s version %d", self.name, version.number)
            error = StatusError("INTERNAL", f"{type(failure).__name__}: {failure}")
        else:
            with self._changed:
                version.servable, version.state, version.error = servable, AVAILABLE, None
            log.info("serving %s version %d", self.name, version.number)
            return None
        log.error("%s version %d is not served: %s", self.name, version.number, error.message)
        with self._changed:
            version.error = error
            self._changed.notify_all()
        return error

    def _retire(self) -> None:
        """Unloads what is not wanted, but never the last version served while a wanted one is still on its way."""
        ready = any(self._versions[number].state == AVAILABLE for number in self._aspired)
        if self._aspired and not ready:
            return
        for number, version in self._versions.items():
            if number not in self._aspired and version.state == AVAILABLE:
                version.state = UNLOADING
                self._close_if_unused(version)

    def _close_if_unused(self, version: Version) -> None:
        if version.state == UNLOADING and not version.users and version.servable is not None:
            servable, version.servable = version.servable, None
            name = f"unload {self.name} {version.number}"
            # In a thread of its own: closing a large session takes long, and requests wait for the lock held here.
            threading.Thread(target=self._unload_version, args=(version, servable), name=name).start()

    def _unload_version(self, version: Version, servable: Servable) -> None:
        with self._unloads:
            servable.close()
        log.info("unloaded %s version %d", self.name, version.number)
        with self._changed:
            version.state = END
            if version.number in self._aspired:  # its folder came back while the last request was being answered
                path = self._aspired[version.number]
                self._begin(Version(version.number, path, LOADING, retry=version.retry))
            self._changed.notify_all()


def not_found(name: str, number: Optional[int]) -> StatusError:
    """The real server's text for a model or version that is not served."""
    wanted = f"Latest({name})" if number is None else f"Specific({name}, {number})"
    return StatusError("NOT_FOUND", f"Servable not found for request: {wanted}")
