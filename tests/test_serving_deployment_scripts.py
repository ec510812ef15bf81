"""start.sh and ready.sh, run as a container runs them: the server is a program of that name; bash, and no curl."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Iterator

import httpx
import pytest

from serving.deployment.inside import METRICS_PATH, Inside
from serving.deployment.served import Served
from serving.deployment.server_files import gpu_flags
from serving.deployment.write import files
from tests.fixtures_serving import free_port

ROOT = Path(__file__).resolve().parent.parent
BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None, reason="there is no bash; the server's images have one")


@pytest.fixture
def inside(copy_of: Callable[[str], Path], tmp_path: Path) -> Inside:
    """The model `sum`, its files, and a program tensorflow_model_server."""
    copy_of("sum")
    found = Inside(str(tmp_path), str(tmp_path / "config"), free_port(), free_port())
    (tmp_path / "config").mkdir()
    for path, text in files([Served("sum")], found).items():
        if path.startswith("server/"):
            (tmp_path / "config" / path.partition("/")[2]).write_text(text, "utf-8")
    program = tmp_path / "bin" / "tensorflow_model_server"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m serving.embedded "$@"\n', "utf-8")
    program.chmod(0o755)
    return found


@pytest.fixture
def server(inside: Inside, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    command = [str(BASH), f"{inside.config}/start.sh", *gpu_flags(inside)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stderr=log)
    yield process
    process.kill()
    process.wait()


def is_ready(inside: Inside) -> bool:
    return subprocess.run([str(BASH), f"{inside.config}/ready.sh"], timeout=30, capture_output=True).returncode == 0


def wait(condition: Callable[[], bool], server: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Until the condition holds. Fails after a minute and a half, and at once when the server has ended."""
    end = time.monotonic() + 90
    while not condition():
        log = (tmp_path / "log").read_text("utf-8")
        assert server.poll() is None and time.monotonic() < end, log[-2000:]
        time.sleep(0.2)


def test_ready_means_that_a_version_answers(
    inside: Inside, server: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    status = f"http://127.0.0.1:{inside.rest_port}/v1/models/sum"
    assert not is_ready(inside)  # nobody listens yet
    wait(lambda: is_ready(inside), server, tmp_path)
    assert httpx.get(f"{status}/metadata").status_code == 200

    (tmp_path / "sum" / "3").rename(tmp_path / "away")
    wait(lambda: not is_ready(inside), server, tmp_path)
    # Why the probes do not ask for the status: it is 200 all the same, and says END in its body.
    answer = httpx.get(status)
    assert answer.status_code == 200 and answer.json()["model_version_status"][0]["state"] == "END"
    assert httpx.get(f"{status}/metadata").status_code == 404

    (tmp_path / "away").rename(tmp_path / "sum" / "4")
    wait(lambda: is_ready(inside), server, tmp_path)
    # start.sh is gone: the signal that stops a container reaches the server itself.
    server.send_signal(signal.SIGTERM)
    server.wait(timeout=30)
    assert not is_ready(inside)


def test_server_understands_what_was_written(
    inside: Inside, server: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """models.config, batching.config and monitoring.config; the flags for GPUs come behind."""
    wait(lambda: is_ready(inside), server, tmp_path)
    url = f"http://127.0.0.1:{inside.rest_port}"
    rows = {"signature_name": "one", "inputs": {"x": [[1.0, 2.0]] * 65}}
    answer = httpx.post(f"{url}/v1/models/sum:predict", json=rows)
    # 64 rows are the maximum that batching.config says.
    assert answer.status_code == 400 and "Task size 65 is larger than maximum input batch size 64" in answer.text
    rows["inputs"] = {"x": [[1.0, 2.0]] * 64}
    assert httpx.post(f"{url}/v1/models/sum:predict", json=rows).json()["outputs"] == [21.0] * 64  # 1 + 10 * 2
    metrics = httpx.get(url + METRICS_PATH)
    assert metrics.status_code == 200
    assert ':tensorflow:serving:request_count{model_name="sum",status="INVALID_ARGUMENT"} 1' in metrics.text
    path = f"{inside.models}/sum/3"
    assert f':tensorflow:cc:saved_model:load_attempt_count{{model_path="{path}",status="success"}} 1' in metrics.text


def test_ready_asks_for_every_model(inside: Inside, server: subprocess.Popen[bytes], tmp_path: Path) -> None:
    wait(lambda: is_ready(inside), server, tmp_path)
    text = files([Served("sum"), Served("other")], inside)["server/ready.sh"]
    (tmp_path / "both.sh").write_text(text, "utf-8")
    asked = subprocess.run([str(BASH), str(tmp_path / "both.sh")], timeout=30, capture_output=True, text=True)
    assert asked.returncode == 1 and asked.stdout.startswith("other is not ready: HTTP/1.1 404")
