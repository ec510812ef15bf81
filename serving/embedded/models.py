"""All models of the server: watches their folders, moves labels, takes a new list without dropping a request."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence

from serving.embedded import versions
from serving.embedded.errors import StatusError, invalid_argument
from serving.embedded.model import AVAILABLE, Model, Retry, Version, not_found
from serving.embedded.model_config import ModelSettings
from serving.embedded.servable import Servable
from serving.embedded.turns import Turns
from signatures.errors import UsageError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watch:
    """How the folders are watched, and how much happens at once. A poll of 0 seconds means once."""

    poll_seconds: float
    retry: Retry
    labels_for_unavailable: bool = False
    load_threads: int = 1
    unload_threads: int = 1


class Models:
    """The running models: `start` serves the first list, `reload` another, `serving` lends a version."""

    def __init__(self, load: Callable[[str, Path], Servable], watch: Watch) -> None:
        self._load = load
        self._watch = watch
        self._lock = threading.Lock()
        self._reloading = threading.Lock()
        self._settings: Dict[str, ModelSettings] = {}
        self._models: Dict[str, Model] = {}
        # The first models may load all at once: nobody is being served yet whom that would slow down.
        self._loads = Turns(4 * (os.cpu_count() or 1))
        self._unloads = Turns(watch.unload_threads)
        self._closing = threading.Event()
        self._poller = threading.Thread(target=self._poll_forever, name="version watcher", daemon=True)

    def start(self, settings: Sequence[ModelSettings]) -> None:
        """Returns when each model serves a version. Raises UsageError when one cannot."""
        for model in settings:
            present = versions.present(model.base_path)
            if present is None:
                raise UsageError(f"model {model.name!r}: base path {model.base_path} is no readable folder; give the "
                                 "folder that holds the version folders")
            if not versions.aspired(present, model.policy):
                raise UsageError(f"model {model.name!r}: base path {model.base_path} holds no version to serve; export "
                                 f"a model to {model.base_path}/1, and give the folder above the version's")
        try:
            self.reload(settings, Retry(0, 0))  # a model that is broken at the start is told at once
        except StatusError as error:
            self.close()
            raise UsageError(f"the server cannot start: {error.message}") from error
        self._loads.most = self._watch.load_threads
        if self._watch.poll_seconds > 0:
            self._poller.start()

    def reload(self, settings: Sequence[ModelSettings], retry: Optional[Retry] = None) -> None:
        """Replaces the whole list; returns when each new model serves a version. Raises StatusError when one cannot."""
        with self._reloading:
            self._check_labels(settings)
            new, gone = self._replace(settings)
            self.poll(retry)
            for model in gone:
                model.close()
            errors = {model.name: model.await_first() for model in new}
            failed = {name: error for name, error in errors.items() if error is not None}
            if failed:
                told = ", ".join(f"{{{name} due to error: {error}}}" for name, error in failed.items())
                raise StatusError("UNKNOWN", f"{len(failed)} model(s) did not become available: {{{told}}}")

    @contextmanager
    def serving(self, name: str, number: Optional[int] = None, label: Optional[str] = None) -> Iterator[Version]:
        """A loaded version for the time of the block. Raises StatusError as the real server answers."""
        if not name:
            raise invalid_argument("ModelSpec has no name specified.")
        with self._lock:
            model, settings = self._models.get(name), self._settings.get(name)
        if label is not None:
            if settings is None or label not in settings.labels:
                raise invalid_argument(f"Unrecognized servable version label: {label}")
            number = settings.labels[label]
        if model is None:
            raise not_found(name, number)
        with model.serving(number) as version:
            yield version

    def status(self, name: str, number: Optional[int] = None) -> List[Version]:
        """Every version, newest first, or the one asked for. Raises StatusError NOT_FOUND."""
        with self._lock:
            model = self._models.get(name)
        known = model.versions() if model is not None else []
        if number is not None:
            known = [version for version in known if version.number == number]
            if not known:
                raise StatusError("NOT_FOUND", f"Could not find version {number} of model {name}")
        if not known:
            raise StatusError("NOT_FOUND", f"Could not find any versions of model {name}")
        return known

    def poll(self, retry: Optional[Retry] = None) -> None:
        """Looks at every base path once; `retry` is how often a version found now is tried, the watch's for None."""
        with self._lock:
            pairs = [(self._models[name], settings) for name, settings in self._settings.items()]
        for model, settings in pairs:
            present = versions.present(settings.base_path)
            if present is None:
                log.warning("%s: base path %s cannot be read; what is loaded stays", model.name, settings.base_path)
            else:
                model.aspire(versions.aspired(present, settings.policy), retry or self._watch.retry)

    def close(self) -> None:
        """Stops watching and unloads everything; requests under way end first."""
        self._closing.set()
        if self._poller.is_alive():
            self._poller.join()
        with self._lock:
            models, self._models, self._settings = list(self._models.values()), {}, {}
        for model in models:
            model.close()

    def _replace(self, settings: Sequence[ModelSettings]) -> tuple[List[Model], List[Model]]:
        """Puts the new list in place; the models that came and those that went."""
        with self._lock:
            old = dict(self._models)
            self._settings = {model.name: model for model in settings}
            self._models = {model.name: old.get(model.name) or self._made(model.name) for model in settings}
            new = [model for name, model in self._models.items() if name not in old]
            return new, [model for name, model in old.items() if name not in self._models]

    def _made(self, name: str) -> Model:
        return Model(name, self._load, self._loads, self._unloads)

    def _check_labels(self, settings: Sequence[ModelSettings]) -> None:
        """A label moves only to a loaded version; with the flag, a label that is not in use yet may wait for one."""
        for model in settings:
            old = self._settings[model.name].labels if model.name in self._settings else {}
            for label, number in model.labels.items():
                waits = self._watch.labels_for_unavailable and old.get(label, number) == number
                if not waits and not self._is_available(model.name, number):
                    raise StatusError("FAILED_PRECONDITION", f"Request to assign label to version {number} of model "
                                      f"{model.name}, which is not currently available for inference")

    def _is_available(self, name: str, number: int) -> bool:
        model = self._models.get(name)
        states = {version.number: version.state for version in model.versions()} if model is not None else {}
        return states.get(number) == AVAILABLE

    def _poll_forever(self) -> None:
        while not self._closing.wait(self._watch.poll_seconds):
            try:
                self.poll()
            except Exception:  # noqa: BLE001  (the watcher must outlive anything a file system does)
                log.exception("watching the model folders")
