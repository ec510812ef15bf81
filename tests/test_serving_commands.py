"""The verbs serve, predict and status: which server, which command line, which request, which exit code."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, List

import pytest
import typer
from typer.testing import CliRunner

from serving import commands, exports, launch, requests
from signatures.errors import UsageError
from tests.fixtures_serving import Address, free_port

REAL = launch.Server(launch.REAL, "/bin/tensorflow_model_server", "")
DOCKER = launch.Server(launch.DOCKER, "/bin/docker", "")
EMBEDDED = launch.Server(launch.EMBEDDED, "/bin/python", "")


@pytest.fixture
def console() -> typer.Typer:
    app = typer.Typer()
    for verb in (commands.serve, commands.predict, commands.status):
        app.command()(verb)
    return app


def run(console: typer.Typer, *arguments: Any) -> Any:
    return CliRunner().invoke(console, [str(argument) for argument in arguments])


def program(folder: Path, name: str, script: str = "exit 0") -> Path:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    file.chmod(file.stat().st_mode | stat.S_IEXEC)
    return file


def test_the_real_server_first_then_docker_then_embedded(tmp_path: Path) -> None:
    path = {"PATH": str(tmp_path)}
    assert launch.choose(path).kind == launch.EMBEDDED
    docker = program(tmp_path, "docker")
    assert launch.choose(path, lambda _: False).kind == launch.EMBEDDED
    assert launch.choose(path, lambda _: True).executable == str(docker)
    real = program(tmp_path, "tensorflow_model_server")
    assert launch.choose(path, lambda _: True).executable == str(real)
    other = program(tmp_path, "other_server")
    chosen = launch.choose({**path, "TENSORFLOW_MODEL_SERVER": str(other)})
    assert (chosen.kind, chosen.executable) == (launch.REAL, str(other))
    with pytest.raises(UsageError, match="'/nowhere', which is no program"):
        launch.choose({**path, "TENSORFLOW_MODEL_SERVER": "/nowhere"})


@pytest.mark.parametrize(("script", "kind"), [("exit 0", launch.DOCKER), ("exit 1", launch.EMBEDDED)])
def test_engine_is_asked_whether_it_answers(tmp_path: Path, script: str, kind: str) -> None:
    program(tmp_path, "docker", script)
    assert launch.choose({"PATH": str(tmp_path)}).kind == kind


def test_command_lines(tmp_path: Path) -> None:
    models = {"din": Path("/exports/din"), "two_tower": Path("/exports/two_tower")}
    config = tmp_path / "models.config"
    flags = ("--port=1", "--rest_api_port=2", f"--model_config_file={config}", launch.LABELS_AT_START)
    assert launch.launch(REAL, models, (1, 2), tmp_path).command == (REAL.executable, *flags)
    assert launch.launch(EMBEDDED, models, (1, 2), tmp_path).command == (
        EMBEDDED.executable, "-m", "serving.embedded", *flags
    )
    docker = launch.launch(DOCKER, models, (1, 2), tmp_path)
    assert docker.command == (
        DOCKER.executable, "run", "--rm", "--init", "--publish", "127.0.0.1:1:8500", "--publish", "127.0.0.1:2:8501",
        "--mount", "type=bind,source=/exports/din,target=/models/din,readonly",
        "--mount", "type=bind,source=/exports/two_tower,target=/models/two_tower,readonly",
        "--mount", f"type=bind,source={config},target=/models/models.config,readonly",
        "tensorflow/serving:2.16.1", "--model_config_file=/models/models.config",
        launch.LABELS_AT_START,
    )
    assert 'base_path: "/models/din"' in docker.config
    with pytest.raises(UsageError, match="comma"):
        launch.launch(DOCKER, {"a": Path("/a,b")}, (1, 2), tmp_path)


def test_embedded_server_understands_its_command_line(tmp_path: Path) -> None:
    from serving.embedded.flags import parse

    plan = launch.launch(EMBEDDED, {"din": Path("/exports/din")}, (1, 2), tmp_path)
    flags, notices = parse(plan.command[3:])
    assert (flags.port, flags.rest_api_port, flags.model_config_file) == (1, 2, str(plan.config_path))
    assert notices == []


@pytest.mark.parametrize("path", ["/exports/din", '/a "quoted" \\ path', "/größe/模型"])
def test_config_is_read_back_by_the_real_proto(path: str) -> None:
    from google.protobuf import text_format
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

    config = text_format.Parse(launch.model_config({"din": Path(path)}), ModelServerConfig())
    model, = config.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("din", path, "tensorflow")


def test_exports_are_found(tmp_path: Path) -> None:
    for folder in ("din/2", "din/10", "din/work-11", "empty", "deepfm/1"):
        (tmp_path / folder).mkdir(parents=True)
    assert exports.models(tmp_path) == ["deepfm", "din"]
    newest = exports.newest(tmp_path / "din")
    assert newest is not None and newest.name == "10"
    assert list(exports.base_paths(tmp_path, ["din"])) == ["din"]
    assert exports.manifests(tmp_path, ["din", "nope"]) == {}
    with pytest.raises(UsageError, match="model 'empty' has no version in .*; it holds deepfm, din"):
        exports.base_paths(tmp_path, ["empty"])
    with pytest.raises(UsageError, match="holds no exported model"):
        exports.base_paths(tmp_path / "nowhere", [])


@pytest.mark.parametrize(
    ("text", "inputs", "signature"),
    [
        ('{"instances": [{"x": 1}]}', [{"x": 1}], None),
        ('{"signature_name": "rank", "instances": [{"x": 1}]}', [{"x": 1}], "rank"),
        ('{"inputs": {"x": [1]}}', {"x": [1]}, None),
        ('{"signature": "rank", "inputs": {"x": [1]}, "outputs": {"y": [2]}}', {"x": [1]}, "rank"),
        ('{"x": 1, "y": "a"}', [{"x": 1, "y": "a"}], None),
        ('[{"x": {"b64": "/w=="}}]', [{"x": b"\xff"}], None),
    ],
)
def test_forms_of_a_request(text: str, inputs: Any, signature: Any) -> None:
    assert requests.from_json(text, "file") == requests.Request(inputs, signature)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "file is no JSON"),
        ("3", "received int"),
        ("[]", "should hold a list of rows"),
        ('{"instances": [1]}', "should hold a list of rows"),
        ('[{"x": {"b64": "*"}}]', "is no JSON .*b64"),
    ],
)
def test_bad_request_file(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        requests.from_json(text, "file")


def test_request_from_flags() -> None:
    row = {"user_id": 7, "name": "a=b", "history": [1, 2]}
    assert requests.from_flags(["user_id=7", 'name="a=b"', "history=[1, 2]"]).inputs == [row]
    for flags, words in (
        (["x"], "form name=json"), (["=1"], "form name=json"), (["x=a"], "is no JSON"), (["x=1", "x=2"], "twice")
    ):
        with pytest.raises(UsageError, match=words):
            requests.from_flags(flags)


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_predict_prints_json(console: typer.Typer, embedded: Address, tmp_path: Path, transport: str) -> None:
    file = tmp_path / "request.json"
    file.write_text('{"instances": [{"x": [1, 2], "ids": 3, "name": "abc"}]}', encoding="utf-8")
    ports = ("--port", embedded.port, "--rest-port", embedded.rest_port, "--transport", transport)
    result = run(console, "predict", "sum", "--file", file, *ports)
    assert result.exit_code == 0, result.output
    version = {"version": 3} if transport == "grpc" else {}
    assert json.loads(result.stdout) == {**version, "outputs": {"score": [6.0], "letters": [3]}}
    result = run(console, "predict", "sum", "--input", "x=[1, 2]", "--signature", "one", *ports)
    assert json.loads(result.stdout)["outputs"] == {"y": [21.0]}


def test_predict_over_both(console: typer.Typer, embedded: Address) -> None:
    result = run(console, "predict", "echo", "--input", 'v="é"', "--signature", "string", "--transport", "both",
                 "--port", embedded.port, "--rest-port", embedded.rest_port)
    shown = json.loads(result.stdout)
    assert shown == {"grpc": {"version": 1, "outputs": {"v": ["é"]}}, "rest": {"outputs": {"v": ["é"]}}}


def test_status_prints_a_line_for_each_version(console: typer.Typer, embedded: Address, model_folder: Path) -> None:
    ports = ("--port", embedded.port, "--rest-port", embedded.rest_port)
    result = run(console, "status", *ports, "--exports", model_folder)
    assert result.stdout.splitlines() == ["echo\t1\tAVAILABLE", "ragged\t1\tAVAILABLE", "sum\t3\tAVAILABLE"]
    assert run(console, "status", "sum", *ports, "--transport", "rest").stdout == "sum\t3\tAVAILABLE\n"


def test_bad_use(console: typer.Typer, embedded: Address, tmp_path: Path) -> None:
    ports = ("--port", embedded.port, "--rest-port", embedded.rest_port)
    cases: List[Any] = [
        (["predict", "sum"], "--file or with --input"),
        (["predict", "sum", "--file", "a", "--input", "x=1"], "--file or with --input"),
        (["predict", "sum", "--file", tmp_path / "nowhere"], "cannot be read"),
        (["predict", "sum", "--input", "x=1", "--version", 1, "--label", "a"], "either --version or --label"),
        (["predict", "sum", "--input", "x=1", "--label", "nolabel", *ports], "Unrecognized servable version label"),
        (["predict", "sum", "--input", "x=1", *ports], "needs ids, name"),
        (["predict", "nope", "--input", "x=1", *ports], "signet status MODEL tells which versions are served"),
        (["predict", "sum", "--input", "x=1", "--port", free_port()], "start a server with: signet serve"),
        (["status", "--exports", tmp_path], "holds no exported model"),
        (["serve", "--exports", tmp_path], "holds no exported model"),
    ]
    for arguments, words in cases:
        result = run(console, *arguments)
        assert isinstance(result.exception, UsageError) and words in str(result.exception), arguments


@pytest.mark.parametrize("verb", [("predict", "sum", "--input", "x=1"), ("status", "sum")])
def test_a_server_that_is_silent_ends_the_command_with_its_deadline(console: typer.Typer, verb: Any) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        ports = ("--transport", "rest", "--rest-port", silent.getsockname()[1])
        result = run(console, *verb, *ports, "--deadline", 0.2)
    assert result.exit_code == 1 and "did not answer within 0.2 s" in result.output


def test_dry_run_starts_nothing(console: typer.Typer, model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.delenv("TENSORFLOW_MODEL_SERVER", raising=False)
    monkeypatch.setattr(launch, "_engine_answers", lambda _: False)
    result = run(console, "serve", "--model", "sum", "--exports", model_folder, "--dry-run")
    assert result.exit_code == 0
    assert "-m serving.embedded --port=8500 --rest_api_port=8501" in result.output
    assert f'base_path: "{model_folder / "sum"}"' in result.output and "echo" not in result.output
    assert "serving sum with embedded" in result.output and "production is TensorFlow Serving" in result.output


def test_serve_runs_the_server_with_its_config(
    console: typer.Typer, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = tmp_path / "copied"
    copy = f'case $flag in --model_config_file=*) cp "${{flag#*=}}" {copied};; esac'
    script = f'for flag in "$@"; do {copy}; done; exit 7'
    monkeypatch.setenv("TENSORFLOW_MODEL_SERVER", str(program(tmp_path, "server", script)))
    result = run(console, "serve", "--exports", model_folder)
    assert result.exit_code == 7  # the server's own
    assert copied.read_text(encoding="utf-8").count("base_path") == 3


def test_commands_start_without_tensorflow() -> None:
    script = "import sys, serving.commands, serving.funnel; sys.exit('tensorflow' in sys.modules)"
    root = Path(__file__).resolve().parent.parent
    assert subprocess.run([sys.executable, "-c", script], cwd=root, timeout=60).returncode == 0
