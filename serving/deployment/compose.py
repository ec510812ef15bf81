"""The variables that docker/compose.yaml and docker/compose.gpu.yaml leave open."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Sequence

from serving.deployment.images import gpu_image, image, memory_mebibytes
from serving.deployment.served import Served
from serving.deployment.server_files import WRITTEN
from signatures.errors import UsageError

FILE = "compose.env"


@dataclass(frozen=True)
class Here:
    """This machine: the folder of the exports, that of the server's config files, and who may read them."""

    exports: Path
    config: Path
    user: str

    @staticmethod
    def of(exports: Path, config: Path) -> Here:
        """The user is whoever asks, so that the server reads what they can, and writes nothing as root."""
        return Here(exports.resolve(), config.resolve(), f"{os.getuid()}:{os.getgid()}")


def environment(models: Sequence[Served], here: Here) -> str:
    """For `docker compose --env-file`."""
    variables: Dict[str, str] = {
        "SIGNET_EXPORTS": str(here.exports),
        "SIGNET_CONFIG": str(here.config),
        "SIGNET_USER": here.user,
        "SIGNET_IMAGE": image(models),
        "SIGNET_MEMORY": f"{memory_mebibytes(models)}m",
    }
    on_gpu = gpu_image(models)
    if on_gpu is not None:
        variables["SIGNET_GPU_IMAGE"] = on_gpu
        variables["SIGNET_GPU_HOST_MEMORY"] = f"{memory_mebibytes(models, gpu=True)}m"
    return WRITTEN + "".join(f"{name}={_quoted(value)}\n" for name, value in variables.items())


def _quoted(value: str) -> str:
    """Single quotes keep dollars and backslashes as they are. Raises UsageError for what they cannot hold."""
    if "'" in value or "\n" in value:
        raise UsageError(f"{value!r} has a quote or a line break, which an env file cannot hold; rename the folder")
    return f"'{value}'"
