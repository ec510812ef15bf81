"""The verbs `serve`, `predict` and `status` of the `signet` console. None of them imports TensorFlow.

Bad input is a UsageError, which the console turns into one sentence and exit code 2; a server that breaks is exit
code 1.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from enum import Enum
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

import numpy as np
import typer

from serving import connecting, launch, requests
from serving import exports as export_folder
from serving.client.client import Client
from serving.client.transport import Answer
from serving.connecting import Over
from serving.releases import starting
from signatures.errors import UsageError


class Asking(str, Enum):
    """How to ask a server; both ways show whether they agree."""

    grpc = "grpc"
    rest = "rest"
    both = "both"


_MODEL = typer.Argument(..., help="The model's name on the server.")
_MODELS = typer.Option(None, "--model", metavar="NAME", help="A model to serve; once per model, all by default.")
_STATUS_MODELS = typer.Argument(None, help="The models to ask for; those in the exports folder by default.")
_DRY_RUN = typer.Option(False, "--dry-run", help="Only print what would be started.")
_WRITE_CONFIG = typer.Option(
    None, "--write-config", metavar="FOLDER", help="Write what Docker, compose and Kubernetes need, and start nothing."
)
_MIXED_PRECISION = typer.Option(False, "--mixed-precision", help="With --write-config: float16 products on GPUs.")
_FILE = typer.Option(None, "--file", help='{"instances": […]}, {"inputs": {…}}, a row, or a list of rows; - for stdin.')
_INPUT = typer.Option(None, "--input", metavar="NAME=JSON", help="One cell of one row; once per input.")
_SIGNATURE = typer.Option(None, "--signature", help="serving_default by default.")
_OVER = typer.Option(Asking.grpc, "--transport", help="grpc, rest, or both one after the other.")
_VERSION = typer.Option(None, "--version", help="The newest by default.")
_LABEL = typer.Option(None, "--label", help="The version with this label.")


def serve(
    model: Optional[List[str]] = _MODELS,
    exports: Path = connecting.EXPORTS,
    port: int = connecting.PORT,
    rest_port: int = connecting.REST_PORT,
    dry_run: bool = _DRY_RUN,
    write_config: Optional[Path] = _WRITE_CONFIG,
    mixed_precision: bool = _MIXED_PRECISION,
) -> None:
    """Serve exported models: with tensorflow_model_server where it is, else in Docker, else embedded."""
    models = export_folder.base_paths(exports, model or [])
    if write_config is not None:
        _write_config(exports, models, write_config, mixed_precision)
        return
    if mixed_precision:
        raise UsageError("--mixed-precision goes into the files of --write-config FOLDER; name the folder")
    server = launch.choose(os.environ)
    with tempfile.TemporaryDirectory(prefix="signet-serve-") as folder:
        plan = launch.launch(server, models, (port, rest_port), Path(folder))
        config = starting.released(plan.config, exports / launch.CONFIG_NAME)
        typer.echo(f"serving {', '.join(models)} with {server.kind}: {server.reason}", err=True)
        if server.kind == launch.EMBEDDED:
            typer.echo("production is TensorFlow Serving; the embedded server is for development and tests", err=True)
        if dry_run:
            typer.echo(f"{shlex.join(plan.command)}\n\n{plan.config_path.name}:\n{config}", nl=False)
            return
        plan.config_path.write_text(config, encoding="utf-8")
        starting.note(config, exports / launch.CONFIG_NAME)
        code = _run(plan)
    raise typer.Exit(code)


def predict(
    model: str = _MODEL,
    file: Optional[str] = _FILE,
    given: Optional[List[str]] = _INPUT,
    signature: Optional[str] = _SIGNATURE,
    version: Optional[int] = _VERSION,
    label: Optional[str] = _LABEL,
    transport: Asking = _OVER,
    deadline: float = connecting.DEADLINE,
    exports: Path = connecting.EXPORTS,
    host: str = connecting.HOST,
    port: int = connecting.PORT,
    rest_port: int = connecting.REST_PORT,
) -> None:
    """Ask a running server; prints the answer as JSON."""
    if (file is None) == (not given):
        raise UsageError("give the request either with --file or with --input name=json")
    if version is not None and label is not None:
        raise UsageError("give either --version or --label")
    request = requests.from_flags(given or []) if file is None else requests.from_json(_read(file), file)
    name = signature or request.signature or "serving_default"
    manifests = export_folder.manifests(exports, [model])
    answers: Dict[str, Any] = {}
    for over in _ways(transport):
        asking = connecting.transport(over, host, port, rest_port)
        with connecting.errors_told(), Client(asking, manifests, deadline) as client:
            answers[over.value] = _as_json(client.predict(model, request.inputs, name, version, label))
    shown = answers if transport is Asking.both else answers[transport.value]
    typer.echo(json.dumps(shown, ensure_ascii=False, indent=1))


def status(
    model: Optional[List[str]] = _STATUS_MODELS,
    transport: Asking = _OVER,
    deadline: float = connecting.DEADLINE,
    exports: Path = connecting.EXPORTS,
    host: str = connecting.HOST,
    port: int = connecting.PORT,
    rest_port: int = connecting.REST_PORT,
) -> None:
    """Say which versions of each model a running server has, and in which state."""
    names = model or export_folder.models(exports)
    if not names:
        raise UsageError(f"{exports} holds no exported model; name the models to ask for")
    for over in _ways(transport):
        asking = connecting.transport(over, host, port, rest_port)
        with connecting.errors_told(), Client(asking, deadline_seconds=deadline) as client:
            for name in names:
                for told in client.status(name):
                    typer.echo(f"{name}\t{told.version}\t{told.state}\t{told.error}".rstrip())


def _write_config(exports: Path, models: Mapping[str, Path], folder: Path, mixed_precision: bool) -> None:
    from serving.deployment import write

    for notice in write.write(exports, models, folder, mixed_precision):
        typer.echo(notice, err=True)
    typer.echo(f"wrote {folder} for {', '.join(models)}; docker/README.md says how to use it")


def _ways(asking: Asking) -> List[Over]:
    return list(Over) if asking is Asking.both else [Over(asking.value)]


def _as_json(answer: Answer) -> Dict[str, Any]:
    outputs = {name: _plain(array) for name, array in sorted(answer.outputs.items())}
    return {"outputs": outputs} if answer.version is None else {"version": answer.version, "outputs": outputs}


def _plain(array: np.ndarray) -> Any:
    if array.dtype != object:
        return array.tolist()
    texts = np.empty(array.shape, object)
    for place in np.ndindex(*array.shape):
        texts[place] = array[place].decode("utf-8", "replace")
    return texts.tolist()


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"request file {file} cannot be read ({error}); give a JSON file, or - for stdin") from error


def _run(plan: launch.Launch) -> int:
    """Runs the server until it ends, handing SIGTERM and SIGINT on to it; its exit code."""
    try:
        process = subprocess.Popen(plan.command)
    except OSError as error:
        told = f"{plan.command[0]} cannot be started ({error.strerror}); see signet serve --dry-run"
        raise UsageError(told) from error
    previous = {
        number: signal.signal(number, lambda received, _: process.send_signal(received))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        return process.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
