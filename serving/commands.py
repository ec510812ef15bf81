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
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import numpy as np
import typer

from serving import exports as export_folder
from serving import launch, requests
from serving.client.client import Client
from serving.client.errors import ClientError, DeadlineExceeded, ServerFailed, Unavailable
from serving.client.grpc_transport import GrpcTransport
from serving.client.rest_transport import RestTransport
from serving.client.transport import Answer, Transport
from signatures.errors import UsageError


class Over(str, Enum):
    """How to ask a server."""

    grpc = "grpc"
    rest = "rest"
    both = "both"


_MODEL = typer.Argument(..., help="The model's name on the server.")
_MODELS = typer.Option(None, "--model", metavar="NAME", help="A model to serve; once per model, all by default.")
_STATUS_MODELS = typer.Argument(None, help="The models to ask for; those in the exports folder by default.")
_EXPORTS = typer.Option(Path("exports"), "--exports", help="Folder of the exported models.")
_PORT = typer.Option(8500, "--port", help="gRPC.")
_REST_PORT = typer.Option(8501, "--rest-port", help="REST.")
_HOST = typer.Option("127.0.0.1", "--host", help="Where the server runs.")
_DRY_RUN = typer.Option(False, "--dry-run", help="Only print what would be started.")
_FILE = typer.Option(None, "--file", help='{"instances": […]}, {"inputs": {…}}, a row, or a list of rows; - for stdin.')
_INPUT = typer.Option(None, "--input", metavar="NAME=JSON", help="One cell of one row; once per input.")
_SIGNATURE = typer.Option(None, "--signature", help="serving_default by default.")
_OVER = typer.Option(Over.grpc, "--transport", help="grpc, rest, or both one after the other.")
_VERSION = typer.Option(None, "--version", help="The newest by default.")


def serve(
    model: Optional[List[str]] = _MODELS,
    exports: Path = _EXPORTS,
    port: int = _PORT,
    rest_port: int = _REST_PORT,
    dry_run: bool = _DRY_RUN,
) -> None:
    """Serve exported models: with tensorflow_model_server where it is, else in Docker, else embedded."""
    models = export_folder.base_paths(exports, model or [])
    server = launch.choose(os.environ)
    with tempfile.TemporaryDirectory(prefix="signet-serve-") as folder:
        plan = launch.launch(server, models, (port, rest_port), Path(folder))
        typer.echo(f"serving {', '.join(models)} with {server.kind}: {server.reason}", err=True)
        if server.kind == launch.EMBEDDED:
            typer.echo("production is TensorFlow Serving; the embedded server is for development and tests", err=True)
        if dry_run:
            typer.echo(f"{shlex.join(plan.command)}\n\n{plan.config_path.name}:\n{plan.config}", nl=False)
            return
        plan.config_path.write_text(plan.config, encoding="utf-8")
        code = _run(plan)
    raise typer.Exit(code)


def predict(
    model: str = _MODEL,
    file: Optional[str] = _FILE,
    given: Optional[List[str]] = _INPUT,
    signature: Optional[str] = _SIGNATURE,
    version: Optional[int] = _VERSION,
    transport: Over = _OVER,
    exports: Path = _EXPORTS,
    host: str = _HOST,
    port: int = _PORT,
    rest_port: int = _REST_PORT,
) -> None:
    """Ask a running server; prints the answer as JSON."""
    if (file is None) == (not given):
        raise UsageError("give the request either with --file or with --input name=json")
    request = requests.from_flags(given or []) if file is None else requests.from_json(_read(file), file)
    name = signature or request.signature or "serving_default"
    manifests = export_folder.manifests(exports, [model])
    answers: Dict[str, Any] = {}
    for kind in ("grpc", "rest") if transport is Over.both else (transport.value,):
        with _errors_told(), Client(_transport(kind, host, port, rest_port), manifests) as client:
            answers[kind] = _as_json(client.predict(model, request.inputs, name, version))
    shown = answers if transport is Over.both else answers[transport.value]
    typer.echo(json.dumps(shown, ensure_ascii=False, indent=1))


def status(
    model: Optional[List[str]] = _STATUS_MODELS,
    transport: Over = _OVER,
    exports: Path = _EXPORTS,
    host: str = _HOST,
    port: int = _PORT,
    rest_port: int = _REST_PORT,
) -> None:
    """Say which versions of each model a running server has, and in which state."""
    names = model or export_folder.models(exports)
    if not names:
        raise UsageError(f"{exports} holds no exported model; name the models to ask for")
    for kind in ("grpc", "rest") if transport is Over.both else (transport.value,):
        with _errors_told(), Client(_transport(kind, host, port, rest_port)) as client:
            for name in names:
                for told in client.status(name):
                    typer.echo(f"{name}\t{told.version}\t{told.state}\t{told.error}".rstrip())


def _transport(kind: str, host: str, port: int, rest_port: int) -> Transport:
    return GrpcTransport(host, port) if kind == "grpc" else RestTransport(host, rest_port)


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


@contextmanager
def _errors_told() -> Iterator[None]:
    """What the user can mend is a UsageError; a server that breaks or is too slow ends the command with 1."""
    try:
        yield
    except (ServerFailed, DeadlineExceeded) as error:
        typer.echo(f"signet: {error}", err=True)
        raise typer.Exit(1) from error
    except Unavailable as error:
        raise UsageError(f"{error}; start a server with: signet serve") from error
    except ClientError as error:
        raise UsageError(str(error)) from error


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
