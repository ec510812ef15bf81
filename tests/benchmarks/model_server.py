"""Model servers for benchmarks, each a process of its own as in production: the embedded one, and the real one too."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Tuple

from serving import launch
from serving.client.client import Client
from serving.client.errors import ClientError
from serving.client.grpc_transport import GrpcTransport
from serving.client.retry import Retry

BATCHING = """max_batch_size { value: 32 }
batch_timeout_micros { value: 1000 }
num_batch_threads { value: 2 }
max_enqueued_batches { value: 100 }
"""
"""A millisecond of waiting at most; two threads, since the model itself runs on all cores."""


@dataclass(frozen=True)
class ModelServer:
    """A running one."""

    name: str
    port: int
    rest_port: int
    batching: bool = False


def commands() -> List[Tuple[str, Tuple[str, ...]]]:
    """The servers that are here, by name: the embedded one, and tensorflow_model_server where it is installed."""
    found: List[Tuple[str, Tuple[str, ...]]] = [("embedded", (sys.executable, "-m", "serving.embedded"))]
    chosen = launch.choose(os.environ, engine_answers=lambda _: False)
    if chosen.kind == launch.REAL:
        found.append((launch.REAL, (chosen.executable,)))
    return found


@contextmanager
def serving(
    name: str, command: Tuple[str, ...], export: Path, folder: Path, batching: bool = False, seconds: float = 180
) -> Iterator[ModelServer]:
    """Serves MODEL/VERSION as MODEL until the block ends. Its words go to a file in `folder`."""
    name = f"{name}, batching" if batching else name
    server = ModelServer(name, _free_port(), _free_port(), batching)
    flags = [f"--port={server.port}", f"--rest_api_port={server.rest_port}", f"--model_name={export.parent.name}",
             f"--model_base_path={export.parent.resolve()}"]
    if batching:
        parameters = folder / "batching.config"
        parameters.write_text(BATCHING, encoding="utf-8")
        flags += ["--enable_batching=true", f"--batching_parameters_file={parameters}"]
    words = folder / f"{name}.log"
    with words.open("wb") as log, subprocess.Popen((*command, *flags), stdout=log, stderr=log) as process:
        try:
            _wait(process, server, export.parent.name, words, time.monotonic() + seconds)
            yield server
        finally:
            process.terminate()


def _wait(process: subprocess.Popen, server: ModelServer, model: str, words: Path, end: float) -> None:
    with Client(GrpcTransport(port=server.port), deadline_seconds=5, retry=Retry(attempts=1)) as client:
        while time.monotonic() < end and process.poll() is None:
            try:
                if any(told.state == "AVAILABLE" for told in client.status(model)):
                    return
            except ClientError:
                pass
            time.sleep(0.1)
    said = words.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise RuntimeError(f"the server {server.name} does not serve {model}; it said:\n{said}")


def _free_port() -> int:
    with socket.socket() as probing:
        probing.bind(("127.0.0.1", 0))
        return int(probing.getsockname()[1])
