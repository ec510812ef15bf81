"""How the console's verbs find a server: their options, the transport they open, and what they say when it fails."""

from __future__ import annotations

from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Iterator

import typer

from serving.client.errors import ClientError, DeadlineExceeded, NotFound, ServerFailed, Unavailable
from serving.client.grpc_transport import AsyncGrpcTransport, GrpcTransport
from serving.client.rest_transport import AsyncRestTransport, RestTransport
from serving.client.transport import AsyncTransport, Transport
from signatures.errors import UsageError


class Over(str, Enum):
    """One way to ask a server."""

    grpc = "grpc"
    rest = "rest"


EXPORTS = typer.Option(Path("exports"), "--exports", help="Folder of the exported models.")
HOST = typer.Option("127.0.0.1", "--host", help="Where the server runs.")
PORT = typer.Option(8500, "--port", help="gRPC.")
REST_PORT = typer.Option(8501, "--rest-port", help="REST.")
DEADLINE = typer.Option(
    10.0, "--deadline", min=0.001, metavar="SECONDS", help="How long a request may take, repeats included."
)


def transport(over: Over, host: str, port: int, rest_port: int) -> Transport:
    """For one request after the other."""
    return GrpcTransport(host, port) if over is Over.grpc else RestTransport(host, rest_port)


def async_transport(over: Over, host: str, port: int, rest_port: int) -> AsyncTransport:
    """For many requests at once; to be used in one event loop."""
    return AsyncGrpcTransport(host, port) if over is Over.grpc else AsyncRestTransport(host, rest_port)


@contextmanager
def errors_told() -> Iterator[None]:
    """What the user can mend is a UsageError; a server that breaks or is too slow ends the command with 1."""
    try:
        yield
    except (ServerFailed, DeadlineExceeded) as error:
        typer.echo(f"signet: {error}", err=True)
        raise typer.Exit(1) from error
    except Unavailable as error:
        raise UsageError(f"{error}; start a server with: signet serve") from error
    except NotFound as error:
        raise UsageError(f"{error}; signet status MODEL tells which versions are served") from error
    except ClientError as error:
        raise UsageError(str(error)) from error
