"""`signet serve --write-config FOLDER`: all files that a server in a container needs, written from the exports.

    FOLDER/server/      what the server reads; mounted, or copied into the image, as /config
    FOLDER/compose.env  what docker/compose.yaml leaves open
    FOLDER/kubernetes/  a volume, and each model's manifests for CPU and GPU
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Mapping, Sequence

from serving.deployment import compose, kubernetes
from serving.deployment.batching import batching
from serving.deployment.images import gpu_image
from serving.deployment.inside import CONTAINER, Inside
from serving.deployment.labels import keep
from serving.deployment.served import Served, describe
from serving.deployment.server_files import (
    READY,
    SESSION,
    START,
    WRITTEN,
    configs,
    ready_script,
    session_config,
    start_script,
)
from serving.launch import CONFIG_NAME
from signatures.errors import UsageError
from signatures.files import write_whole

SERVER = "server"
KUBERNETES = "kubernetes"


def write(exports: Path, folders: Mapping[str, Path], folder: Path, mixed_precision: bool = False) -> List[str]:
    """Writes the files for these models (name -> base path) into the folder; the notices to print.

    Each file is replaced as a whole, so that a server that reads one never sees half of it; manifests of models that
    are no longer among them go. Raises UsageError where a model lies outside the exports, or the folder is no folder.
    """
    outside = [name for name, path in folders.items() if path.resolve() != exports.resolve() / name]
    if outside:
        raise UsageError(f"model {outside[0]!r} is a link out of {exports}, where a container cannot follow; copy it")
    models = describe(folders)
    here = compose.Here.of(exports, folder / SERVER)
    found = files(models, CONTAINER, _previous(folder), mixed_precision)
    found[compose.FILE] = compose.environment(models, here)
    for path, text in found.items():
        write_whole(folder / path, text, "name another folder")
    try:
        _remove_stale(folder / KUBERNETES, [folder / path for path in found])
    except OSError as error:
        raise UsageError(f"{folder} cannot be written ({error}); name another folder") from error
    return _notices(models)


def files(
    models: Sequence[Served], inside: Inside, previous: str = "", mixed_precision: bool = False
) -> Dict[str, str]:
    """Texts by path, without those that depend on this machine. previous: the models.config that is there."""
    server = configs(models, inside)
    server[CONFIG_NAME] = keep(server[CONFIG_NAME], previous)
    server[SESSION] = session_config(mixed_precision)
    server[START] = start_script(models, inside)
    server[READY] = ready_script(models, inside)
    apart = {each.name: keep(configs([each], inside)[CONFIG_NAME], previous) for each in models}
    manifests = kubernetes.manifests(models, inside, apart, server[SESSION])
    found = {f"{SERVER}/{name}": text for name, text in server.items()}
    found.update({f"{KUBERNETES}/{name}": text for name, text in manifests.items()})
    return found


def _notices(models: Sequence[Served]) -> List[str]:
    notices = list(batching(models, CONTAINER).notices)
    if gpu_image(models) is None:
        notices.append(f"{models[0].image} has no GPU variant, so none is written")
    return notices


def _previous(folder: Path) -> str:
    try:
        return (folder / SERVER / CONFIG_NAME).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{folder} cannot be read ({error}); name another folder") from error


def _remove_stale(folder: Path, fresh: Sequence[Path]) -> None:
    """Removes manifests of an earlier run, which `kubectl apply -f` would bring back; others' files stay."""
    for path in set(folder.rglob("*.yaml")) - set(fresh):
        if path.read_text(encoding="utf-8", errors="replace").startswith(WRITTEN):
            path.unlink()
