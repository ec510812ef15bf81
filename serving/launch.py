"""Which model server to start, and with which command line: the real one, its Docker image, or the embedded one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Callable, Dict, Mapping, Optional, Tuple

from signatures.errors import UsageError

IMAGE = "tensorflow/serving:2.16.1"
REAL, DOCKER, EMBEDDED = "tensorflow_model_server", "docker", "embedded"
CONFIG_NAME = "models.config"
LABELS_AT_START = "--allow_version_labels_for_unavailable_models=true"
"""A server that starts has loaded nothing yet, and would refuse the labels that releases gave."""

_CONTAINER_MODELS = "/models"
_ENGINE_SECONDS = 10


@dataclass(frozen=True)
class Server:
    """A server to start: its kind, its executable, and why it was chosen."""

    kind: str
    executable: str
    reason: str


@dataclass(frozen=True)
class Launch:
    """`command` starts the server; it reads `config`, which is to be written to `config_path` first."""

    server: Server
    command: Tuple[str, ...]
    config: str
    config_path: Path


def choose(environment: Mapping[str, str], engine_answers: Optional[Callable[[str], bool]] = None) -> Server:
    """The first that is there. Raises UsageError when TENSORFLOW_MODEL_SERVER names no program."""
    named = environment.get("TENSORFLOW_MODEL_SERVER", "")
    search = environment.get("PATH", "")
    if named:
        found = shutil.which(named, path=search)
        if found is None:
            raise UsageError(f"TENSORFLOW_MODEL_SERVER is {named!r}, which is no program; correct it or unset it")
        return Server(REAL, found, f"TENSORFLOW_MODEL_SERVER names {found}")
    found = shutil.which(REAL, path=search)
    if found is not None:
        return Server(REAL, found, f"{found} is on PATH")
    docker = shutil.which("docker", path=search)
    if docker is not None and (engine_answers or _engine_answers)(docker):
        return Server(DOCKER, docker, f"no {REAL} on PATH, and a Docker engine answers")
    missing = "no Docker engine answers" if docker is not None else "there is no docker"
    return Server(EMBEDDED, sys.executable, f"no {REAL} on PATH, and {missing}")


def embedded() -> Server:
    """The embedded server, whatever else there is."""
    return Server(EMBEDDED, sys.executable, "it is always there")


def launch(server: Server, models: Mapping[str, Path], ports: Tuple[int, int], config_folder: Path) -> Launch:
    """The command line for these models (name -> absolute base path); `ports` are gRPC's and REST's."""
    port, rest_port = ports
    config_path = config_folder / CONFIG_NAME
    if server.kind == DOCKER:
        inside = {name: Path(_CONTAINER_MODELS) / name for name in models}
        config = model_config(inside)
        return Launch(server, _docker(server, models, ports, config_path), config, config_path)
    start = (server.executable,) if server.kind == REAL else (server.executable, "-m", "serving.embedded")
    flags = (f"--port={port}", f"--rest_api_port={rest_port}", f"--model_config_file={config_path}", LABELS_AT_START)
    return Launch(server, (*start, *flags), model_config(models), config_path)


def model_config(models: Mapping[str, PurePath]) -> str:
    """A ModelServerConfig in text form."""
    lines = ["model_config_list {"]
    for name, path in models.items():
        lines += [
            "  config {",
            f"    name: {_quoted(name)}",
            f"    base_path: {_quoted(str(path))}",
            '    model_platform: "tensorflow"',
            "  }",
        ]
    return "\n".join([*lines, "}"]) + "\n"


def _docker(server: Server, models: Mapping[str, Path], ports: Tuple[int, int], config_path: Path) -> Tuple[str, ...]:
    mounts: Dict[str, Path] = {f"{_CONTAINER_MODELS}/{name}": path for name, path in models.items()}
    mounts[f"{_CONTAINER_MODELS}/{CONFIG_NAME}"] = config_path
    command = [server.executable, "run", "--rm", "--init"]
    for port, inside in zip(ports, (8500, 8501)):
        command += ["--publish", f"127.0.0.1:{port}:{inside}"]
    for target, source in mounts.items():
        if "," in str(source) or "," in target:
            raise UsageError(f"{source} has a comma in its name, which docker's --mount cannot take; rename the folder")
        command += ["--mount", f"type=bind,source={source},target={target},readonly"]
    return (*command, IMAGE, f"--model_config_file={_CONTAINER_MODELS}/{CONFIG_NAME}", LABELS_AT_START)


def _engine_answers(docker: str) -> bool:
    command = (docker, "version", "--format", "{{.Server.Version}}")
    try:
        answer = subprocess.run(command, capture_output=True, timeout=_ENGINE_SECONDS, check=False, env=os.environ)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0


def _quoted(text: str) -> str:
    """A string of a text proto: bytes beyond ASCII and control characters as octal escapes."""
    escaped = "".join(
        f"\\{byte:03o}" if byte < 32 or byte > 126 or byte in b'"\\' else chr(byte) for byte in text.encode("utf-8")
    )
    return f'"{escaped}"'
