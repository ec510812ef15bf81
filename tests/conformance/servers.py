"""The servers under test: started with the same flags, asked in the same way."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, Optional, Sequence

import httpx

from serving.launch import IMAGE
from tests.fixtures_serving import Address, free_port, wait_until

KINDS = ("embedded", "real", "docker")
_START_SECONDS = 120


def missing(kind: str) -> str:
    """Why a server cannot be tested here; empty when it can."""
    if kind == "real" and _program() is None:
        return "there is no tensorflow_model_server on PATH or in TENSORFLOW_MODEL_SERVER"
    if kind == "docker":
        docker = shutil.which("docker")
        if docker is None:
            return "there is no docker"
        if subprocess.run([docker, "version"], capture_output=True, timeout=30, check=False).returncode:
            return "no Docker engine answers"
    return ""


@contextmanager
def running(kind: str, folder: Path, flags: Sequence[str], model: str = "sum") -> Iterator[Address]:
    """A server with these flags; `folder` holds every path they name, and `model` is one that it will serve."""
    address = Address(free_port(), free_port(), kind)
    start = {"embedded": _embedded, "real": _real, "docker": _docker}[kind]
    with start(address, folder, flags):
        wait_until(lambda: is_available(address, model), _START_SECONDS)
        yield address


def is_available(address: Address, model: str) -> bool:
    """True when a version of the model answers, over REST and, as far as the port tells, over gRPC."""
    try:
        answer = httpx.get(f"{address.url}/v1/models/{model}", trust_env=False, timeout=5)
        socket.create_connection(("127.0.0.1", address.port), 5).close()
    except (httpx.TransportError, OSError):
        return False
    states = [told["state"] for told in answer.json().get("model_version_status", [])]
    return "AVAILABLE" in states


@contextmanager
def _embedded(address: Address, folder: Path, flags: Sequence[str]) -> Iterator[None]:
    """In this process, from the same command line."""
    from serving.embedded.flags import parse
    from serving.embedded.server import Server

    parsed, _ = parse([f"--port={address.port}", f"--rest_api_port={address.rest_port}", *flags])
    server = Server(parsed)
    try:
        yield
    finally:
        server.close()


@contextmanager
def _real(address: Address, folder: Path, flags: Sequence[str]) -> Iterator[None]:
    program = _program()
    assert program is not None
    process = subprocess.Popen([program, f"--port={address.port}", f"--rest_api_port={address.rest_port}", *flags])
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _docker(address: Address, folder: Path, flags: Sequence[str]) -> Iterator[None]:
    """The folder is seen inside under its own path, so that the same flags and config files hold."""
    ports: Dict[int, int] = {address.port: 8500, address.rest_port: 8501}
    published = [word for outside, inside in ports.items() for word in ("--publish", f"127.0.0.1:{outside}:{inside}")]
    mount = ["--mount", f"type=bind,source={folder},target={folder},readonly"]
    command = ["docker", "run", "--rm", "--init", "--detach", *published, *mount, "--entrypoint",
               "tensorflow_model_server", IMAGE, "--port=8500", "--rest_api_port=8501", *flags]
    container = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    try:
        yield
    finally:
        subprocess.run(["docker", "stop", container], capture_output=True, check=True)


def _program() -> Optional[str]:
    return shutil.which(os.environ.get("TENSORFLOW_MODEL_SERVER") or "tensorflow_model_server")
