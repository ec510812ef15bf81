"""The verbs `promote` and `rollback` of the `signet` console. Imports no TensorFlow."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Optional

import typer

from serving import connecting
from serving.client.grpc_transport import GrpcTransport
from serving.launch import CONFIG_NAME
from serving.releases import memory, releasing
from serving.releases.config import ConfigFile
from serving.releases.errors import ReleaseError
from serving.releases.releasing import Place
from serving.releases.server import Server

MODEL = typer.Argument(..., help="The model's name on the server.")
VERSION = typer.Argument(None, help="The newest export by default.")
CONFIG = typer.Option(None, "--config", help="The server's models.config; that of signet serve by default, in EXPORTS.")
MEMORY = typer.Option(None, "--memory", min=0, metavar="MIB", help="Free memory of the server's machine; measured "
                                                                   "where that is this one.")
LOAD_SECONDS = typer.Option(300.0, "--load-seconds", min=0.1, help="How long loading a version may take.")
ALLOW_BREAKING = typer.Option(False, "--allow-breaking", help="Go on although clients break.")
_KEEP = typer.Option(False, "--keep", help="Leave the old version loaded: memory for both, and the quickest way back.")
_BACK_TO = typer.Argument(None, help="The version that was stable before by default.")


def promote(
    model: str = MODEL,
    version: Optional[int] = VERSION,
    keep: bool = _KEEP,
    allow_breaking: bool = ALLOW_BREAKING,
    config: Optional[Path] = CONFIG,
    memory_mib: Optional[int] = MEMORY,
    load_seconds: float = LOAD_SECONDS,
    deadline: float = connecting.DEADLINE,
    exports: Path = connecting.EXPORTS,
    host: str = connecting.HOST,
    port: int = connecting.PORT,
) -> None:
    """Make a version the stable one: checked, loaded, asked, then labelled; all of it undone where something fails."""
    with place(exports, config, memory_mib, (host, port), (deadline, load_seconds)) as here:
        number = releasing.promote(here, model, version, allow_breaking=allow_breaking, keep=keep)
        typer.echo(f"version {number} of {model} is stable")


def rollback(
    model: str = MODEL,
    version: Optional[int] = _BACK_TO,
    config: Optional[Path] = CONFIG,
    memory_mib: Optional[int] = MEMORY,
    load_seconds: float = LOAD_SECONDS,
    deadline: float = connecting.DEADLINE,
    exports: Path = connecting.EXPORTS,
    host: str = connecting.HOST,
    port: int = connecting.PORT,
) -> None:
    """Make the version stable that was so before; a canary is taken away as well."""
    with place(exports, config, memory_mib, (host, port), (deadline, load_seconds)) as here:
        number = releasing.rollback(here, model, version)
        typer.echo(f"version {number} of {model} is stable")


@contextmanager
def place(
    exports: Path, config: Optional[Path], memory_mib: Optional[int], address: tuple[str, int],
    seconds: tuple[float, float],
) -> Iterator[Place]:
    """A release's place from the console's options; errors become exit codes. seconds: of a request, of a load."""
    host, port = address
    here = memory.available() if memory.is_here(host) else None
    free = here if memory_mib is None else memory_mib * 2**20
    file = ConfigFile(config if config is not None else exports / CONFIG_NAME)
    transport = GrpcTransport(host, port)
    try:
        with connecting.errors_told():
            yield Place(exports, file, Server(transport, *seconds), free, lambda line: typer.echo(line, err=True))
    except ReleaseError as error:
        typer.echo(f"signet: {error}", err=True)
        raise typer.Exit(1) from error
    finally:
        transport.close()
