"""Servers to try settings on: each setting is a new version of the model, with parameters of its own, loaded hot.

That is the way in which production gets them, and it takes no restart; only another number of threads does.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Callable, Iterator, List, Optional, Sequence

from serving.client.client import Client
from serving.client.errors import ClientError
from serving.client.grpc_transport import AsyncGrpcTransport, GrpcTransport
from serving.client.transport import AsyncTransport
from serving.deployment.served import TUNED
from serving.launch import EMBEDDED, Server
from serving.load import run
from serving.load.plan import Plan
from serving.load.sources import Shot
from serving.tune.setting import Measured, Setting
from signatures.errors import UsageError

_REQUEST_THREADS = 256
_PATIENCE = 300.0
"""Seconds until a version must have loaded."""


@dataclass
class Trials:
    """A running server over a folder of versions that are copies of one export."""

    model: str
    export: Path
    base: Path
    port: int
    process: subprocess.Popen
    output: IO[bytes]
    number: int = 0
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = Client(GrpcTransport("127.0.0.1", self.port))

    def load(self, parameters: Optional[str], warm_up: Optional[bytes] = None) -> None:
        """Publishes the export with this batching_params.pbtxt, none for None; returns when it alone is served."""
        self.number += 1
        publish(self.export, self.base / str(self.number), parameters, warm_up)
        end = time.monotonic() + _PATIENCE
        while True:
            if self.process.poll() is not None:
                raise UsageError(f"the server ended with code {self.process.returncode}: {self._said()}")
            try:
                told = {each.version: each for each in self.client.status(self.model)}
            except ClientError:
                told = {}
            now = told.get(self.number)
            if now is not None and now.error:
                raise UsageError(f"the server cannot load this setting: {' '.join(now.error.split())}")
            if now is not None and [each for each in told.values() if each.state == "AVAILABLE"] == [now]:
                return
            if time.monotonic() > end:
                raise UsageError(f"the server did not load the export within {_PATIENCE:g} s: {self._said()}")
            time.sleep(0.05)

    def measure(self, setting: Optional[Setting], shots: Sequence[Shot], plan: Plan) -> Measured:
        """Of the version that is served."""
        opening: Callable[[], AsyncTransport] = lambda: AsyncGrpcTransport("127.0.0.1", self.port)  # noqa: E731
        result = run.measure(opening, shots, plan)
        p50, p99 = (result.latency.p50, result.latency.p99) if result.latency is not None else (0.0, 0.0)
        failed = result.requests - result.answered
        return Measured(setting, result.rows_per_second, p50, p99, result.answered, failed)

    def _said(self) -> str:
        self.output.seek(0)
        lines = self.output.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


@contextmanager
def trials(server: Server, model: str, export: Path, threads: int) -> Iterator[Trials]:
    """A server with so many threads for batches, gone at the end. It has loaded nothing but the export, unbatched."""
    with tempfile.TemporaryDirectory(prefix="signet-tune-") as work, tempfile.TemporaryFile() as output:
        base = Path(work) / "models"
        publish(export, base / "0", None)
        common = Path(work) / "batching.config"
        common.write_text(f"num_batch_threads {{ value: {threads} }}\n", encoding="utf-8")
        port, rest_port = _free_ports(2)
        start = [server.executable, *(["-m", "serving.embedded"] if server.kind == EMBEDDED else [])]
        command = [*start, f"--port={port}", f"--rest_api_port={rest_port}", f"--model_name={model}",
                   f"--model_base_path={base}", "--file_system_poll_wait_seconds=1", "--enable_batching=true",
                   f"--batching_parameters_file={common}", "--enable_per_model_batching_parameters=true",
                   f"--grpc_max_threads={_REQUEST_THREADS}", "--max_num_load_retries=0"]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        found = Trials(model, export, base, port, process, output)
        try:
            yield found
        finally:
            found.client.close()
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def publish(export: Path, target: Path, parameters: Optional[str], warm_up: Optional[bytes] = None) -> None:
    """A copy of an export, whole or not at all, by links where the disk can: a large model costs no space."""
    from serving.prediction_logs import PATH_IN_EXPORT

    work = target.with_name(f"work-{target.name}")
    shutil.copytree(export, work, copy_function=_link)
    for name, content in ((TUNED, None if parameters is None else parameters.encode()), (PATH_IN_EXPORT, warm_up)):
        file = work / name
        if name == TUNED or content is not None:
            file.unlink(missing_ok=True)  # never written into: it may be the export's own file by another name
        if content is not None:
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
    os.rename(work, target)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _free_ports(count: int) -> List[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()
