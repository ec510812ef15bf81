"""Promotion and rollback: which version comes for which, after which checks, in a log and under a lock."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional

from serving import exports
from serving.releases import checks, golden, log
from serving.releases import config as configs
from serving.releases.checks import Check
from serving.releases.config import CANARY, STABLE, ConfigFile, State
from serving.releases.errors import ReleaseError
from serving.releases.log import DONE, REFUSED, Log
from serving.releases.moving import Moving, move
from serving.releases.server import Server
from signatures.errors import UsageError


@dataclass(frozen=True)
class Place:
    """Where releases happen. `told` hears of every step."""

    exports: Path
    file: ConfigFile
    server: Server
    free_bytes: Optional[int] = None
    """Of the server's machine; None where nobody knows."""
    told: Callable[[str], None] = lambda line: None

    @property
    def log_path(self) -> Path:
        return self.file.path.with_name(log.NAME)


@dataclass(frozen=True)
class Now:
    """A model before a release. stable: what has the label, else what unlabelled requests get."""

    state: State
    stable: Optional[int]
    available: frozenset


def promote(
    place: Place, model: str, version: Optional[int], *, allow_breaking: bool = False, keep: bool = False
) -> int:
    """Makes a version the stable one, the newest export by default; its number. keep: the old one stays loaded.

    Raises UsageError for what cannot be meant, ReleaseError for what was refused or failed; nothing has changed then.
    """
    with locked(place.file.path):
        now, export = look(place, model), folder(place, model, version)
        number = int(export.name)
        writing = begin(place, log.PROMOTE, model, number, now.stable)
        checked(place, writing, before_loading(place, model, export, now), allow_breaking)
        labels = {**now.state.labels, STABLE: number}
        if labels.get(CANARY) == number:
            del labels[CANARY]
        kept = {now.stable} if keep and now.stable is not None else set()
        _go(place, writing, State(frozenset({*labels.values(), *kept}), labels), export)
        return number


def rollback(place: Place, model: str, version: Optional[int] = None) -> int:
    """Makes the version stable that was so before, or the one named; its number. Checked is only what could fail.

    It was good once, so neither the gates nor what changed for clients holds it up; a canary is taken away as well.
    """
    with locked(place.file.path):
        now = look(place, model)
        if version is None:
            version = _before(place, model, now)
        export = folder(place, model, version)
        writing = begin(place, log.ROLLBACK, model, version, now.stable)
        found = [] if version in now.available else [checks.room(export, place.free_bytes)]
        checked(place, writing, found)
        labels = {name: number for name, number in now.state.labels.items() if name != CANARY}
        labels[STABLE] = version
        _go(place, writing, State(frozenset(labels.values()), labels), export)
        return version


def look(place: Place, model: str) -> Now:
    """The model as the file and the server have it. Raises UsageError when one of them does not know it."""
    state = configs.state(place.file.read(), model)
    available = place.server.available(model)
    if not available:
        address = place.server.transport.address
        raise UsageError(f"the server at {address} serves no version of {model}; see signet status")
    return Now(state, state.labels.get(STABLE, max(available)), available)


def folder(place: Place, model: str, version: Optional[int]) -> Path:
    """The export of a version, the newest by default. Raises UsageError where there is none."""
    found = exports.newest(place.exports / model) if version is None else place.exports / model / str(version)
    if found is None or not found.is_dir():
        which = "version" if version is None else f"version {version}"
        told = f"{place.exports} holds no {which} of model {model!r}; export it, or name the folder by --exports"
        raise UsageError(told)
    return found


def begin(place: Place, action: str, model: str, version: int, previous: Optional[int]) -> Log:
    """A log for one release."""
    return Log(place.log_path, action, model, version, previous, place.told)


def before_loading(place: Place, model: str, export: Path, now: Now) -> List[Check]:
    """Gates and memory, and what changes for the clients of the stable version."""
    found = [checks.gates(export)]
    if now.stable is not None and now.stable != int(export.name):
        old = place.exports / model / str(now.stable)
        found.append(checks.compatible(old, export) if old.is_dir() else
                     Check("diff", None, f"{old} is gone, so nobody knows what changes for its clients"))
    if int(export.name) not in now.available:
        found.append(checks.room(export, place.free_bytes))
    return found


def checked(place: Place, writing: Log, found: List[Check], allow_breaking: bool = False) -> None:
    """Logs every check. Raises ReleaseError, with nothing changed, when one says no."""
    words: Dict[Optional[bool], str] = {True: DONE, False: REFUSED, None: "not known"}
    for check in found:
        writing.write(check.name, words[check.passed], check.detail)
    refused = checks.failed([each for each in found if not (allow_breaking and each.name == "diff")])
    if refused is not None:
        writing.write(log.WHOLE, REFUSED, refused.name)
        hint = "; --allow-breaking goes on regardless" if refused.name == "diff" else ""
        raise ReleaseError(f"not released: {refused.detail}{hint}")


def verify_golden(place: Place, writing: Log, export: Path) -> None:
    """Asks the loaded version its golden requests. Raises ReleaseError or a ClientError."""
    count = golden.verify(place.server.client, writing.model, export, place.server.load_seconds)
    writing.write("golden", DONE if count else "not known", f"{count} requests" if count else "the export has none")


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """One release of a server at a time. Raises UsageError when another one is under way."""
    lock = file.with_name(f".{file.name}.lock")
    try:
        opened = lock.open("w")
    except OSError as error:
        told = f"{lock} cannot be written ({error.strerror}); give a --config FILE in a folder that can be"
        raise UsageError(told) from error
    with opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(f"another release with {file} is under way; wait for its end") from error
        yield


def _go(place: Place, writing: Log, wanted: State, export: Path) -> None:
    move(Moving(place.file, place.server, writing), wanted, lambda: verify_golden(place, writing, export))


def _before(place: Place, model: str, now: Now) -> int:
    stable = now.state.labels.get(STABLE)
    found = None if stable is None else log.stable_before(log.read(place.log_path), model, stable)
    if found is None:
        raise UsageError(f"{place.log_path} tells of no version of {model} that was stable before; name one: "
                         f"signet rollback {model} VERSION")
    return found
