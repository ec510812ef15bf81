"""The command line of the embedded server, and the program as a whole."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, List, Sequence

import httpx
import pytest

from serving.embedded import __main__ as program
from serving.embedded.flags import WITHOUT_MEANING, Flags, parse, usage
from signatures.errors import UsageError
from tests.fixtures_serving import free_port, wait_until

MODEL = "--model_base_path=/models/m"


def test_forms_of_a_flag() -> None:
    flags, notices = parse(["--port=9000", "--model_name=m", MODEL, "--allow_version_labels_for_unavailable_models",
                            "--enable_model_warmup=false", "--file_system_poll_wait_seconds=0"])
    assert flags == Flags(port=9000, model_name="m", model_base_path="/models/m", enable_model_warmup=False,
                          allow_version_labels_for_unavailable_models=True, file_system_poll_wait_seconds=0)
    assert notices == []


def test_known_flag_without_meaning_is_noticed() -> None:
    flags, notices = parse([MODEL, "--flush_filesystem_caches", "--platform_config_file=x"])
    assert flags == Flags(model_base_path="/models/m")
    assert [notice.split()[0] for notice in notices] == ["--flush_filesystem_caches", "--platform_config_file"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["no model to serve", "--model_base_path"]),
        ([MODEL, "--prot=1"], ["--prot", "unknown"]),
        ([MODEL, "port=1"], ["'port=1'", "--name=value"]),
        ([MODEL, "--port"], ["--port needs a value"]),
        ([MODEL, "--port=x"], ["--port", "'x'", "number"]),
        ([MODEL, "--port=70000"], ["70000", "65535"]),
        ([MODEL, "--port=8501", "--rest_api_port=8501"], ["both 8501"]),
        ([MODEL, "--port=0"], ["both --port and --rest_api_port are 0"]),
        ([MODEL, "--enable_model_warmup=maybe"], ["'maybe'", "=true"]),
        ([MODEL, "--batching_parameters_file=b.config"], ["--batching_parameters_file", "add --enable_batching"]),
        ([MODEL, "--grpc_channel_arguments=grpc.x"], ["'grpc.x'", "name=value"]),
    ],
)
def test_bad_flag(arguments: List[str], words: List[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse(arguments)
    assert all(word in str(caught.value) for word in words), caught.value


def test_usage_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.strip() == usage()
    assert "--rest_api_timeout_in_ms=30000" in shown and all(name in shown for name in WITHOUT_MEANING)


def run(arguments: Sequence[str], **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "serving.embedded", *arguments]
    root = Path(__file__).resolve().parent.parent
    return subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)


def test_mistake_in_the_flags_is_told_without_tensorflow() -> None:
    with run(["--nonsense=1"], env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert [line for line in errors.splitlines() if not line.startswith("import time:")] == [
        "error: flag --nonsense is unknown to tensorflow_model_server; write --help for the known ones"
    ]
    assert not [line for line in errors.splitlines() if line.endswith((" tensorflow", " grpc"))]


def test_program_serves_says_what_it_is_and_stops_when_told(model_folder: Path) -> None:
    port, rest_port = free_port(), free_port()
    flags = [f"--port={port}", f"--rest_api_port={rest_port}", "--model_name=sum", "--prefer_tflite_model",
             f"--model_base_path={model_folder / 'sum'}"]
    with run(flags) as process:
        url = f"http://127.0.0.1:{rest_port}/v1/models/sum"
        wait_until(lambda: process.poll() is not None or _answers(url), 120)
        answers: List[Any] = []
        asking = threading.Thread(target=_ask_until_it_is_gone, args=(url, answers))
        asking.start()
        wait_until(lambda: len(answers) > 3)
        process.send_signal(signal.SIGTERM)  # with requests on their way
        _, errors = process.communicate(timeout=60)
        asking.join()
    assert process.returncode == 0
    assert [answer for answer in answers if answer != (200, {"outputs": [21.0]})] == []
    assert "production is TensorFlow Serving" in errors
    assert "--prefer_tflite_model has no meaning" in errors
    assert "Traceback" not in errors


def _ask_until_it_is_gone(url: str, answers: List[Any]) -> None:
    """Every request that the server took must be answered; the first that it does not take ends this."""
    while True:
        try:
            answer = httpx.post(f"{url}:predict", json={"signature_name": "one", "inputs": [[1, 2]]}, trust_env=False)
        except httpx.ConnectError:
            return
        answers.append((answer.status_code, answer.json()))


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("flag", ["port", "rest_api_port"])
def test_taken_port(model_folder: Path, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        ports = {"port": free_port(), "rest_api_port": free_port(), flag: number}
        arguments = [f"--{name}={value}" for name, value in ports.items()]
        assert program.main([*arguments, f"--model_base_path={model_folder / 'sum'}"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: --{flag}={number} is taken by another program; stop it or choose another port"
    )


@pytest.mark.parametrize(
    ("base_path", "words"),
    [
        ("nowhere", ["is no readable folder"]),
        ("empty", ["holds no version to serve"]),
        ("broken", ["cannot start", "broken"]),
    ],
)
def test_model_that_cannot_be_served(
    tmp_path: Path, base_path: str, words: List[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken" / "1").mkdir(parents=True)
    arguments = [f"--port={free_port()}", f"--model_base_path={tmp_path / base_path}"]
    assert program.main(arguments) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(told) == 1 and all(word in told[0] for word in words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("models {", ["no ModelServerConfig"]),
        ('model_config_list { config { name: "m" base_path: "m" model_platform: "tensorflow" } }', ["absolute path"]),
        ('model_config_list { config { name: "m" base_path: "/m" } }', ["model_platform"]),
        ('model_config_list { config { name: "m" base_path: "/m" model_platform: "caffe" } }', ["caffe"]),
        ("", ["ModelConfigList"]),
    ],
)
def test_bad_config_file(tmp_path: Path, content: str, words: List[str]) -> None:
    from serving.embedded.model_config import from_flags

    file = tmp_path / "models.config"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        from_flags(Flags(model_config_file=str(file)))
    assert all(word in str(caught.value) for word in words), caught.value
    with pytest.raises(UsageError, match="cannot be read"):
        from_flags(Flags(model_config_file=str(tmp_path / "nowhere")))
    with pytest.raises(UsageError, match="absolute path"):
        from_flags(Flags(model_base_path="relative"))


def test_body_beyond_the_limit_is_refused(model_folder: Path) -> None:
    from serving.embedded.server import Server

    port = free_port()
    flags = Flags(port=0, rest_api_port=port, model_name="sum", model_base_path=str(model_folder / "sum"),
                  body_limit_bytes=1000)
    server = Server(flags)
    try:
        url = f"http://127.0.0.1:{port}/v1/models/sum:predict"
        answer = httpx.post(url, content=b" " * 1001, trust_env=False)
        assert (answer.status_code, answer.json()) == (413, {"error": "The request body is larger than 1000 bytes"})
        import gzip

        bomb = gzip.compress(b" " * 100_000)
        assert len(bomb) < 1000
        assert httpx.post(url, content=bomb, headers={"content-encoding": "gzip"}, trust_env=False).status_code == 413
        assert httpx.post(url, json={"signature_name": "one", "inputs": [[1, 2]]}, trust_env=False).status_code == 200
    finally:
        server.close()
