"""The verb `load` of the `signet` console. Imports no TensorFlow."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import List, Optional, Union

import typer
from rich.console import Console
from rich.table import Table

from serving import connecting
from serving import exports as export_folder
from serving.client.client import Client
from serving.client.transport import Target
from serving.connecting import Over
from serving.load import report as reports
from serving.load import run, sources
from serving.load.plan import Closed, Open, Plan
from serving.load.report import Report
from serving.load.sources import Sample
from serving.requests import Request
from signatures.errors import UsageError
from signatures.files import check_outputs

_MODEL = typer.Argument(..., help="The model's name on the server.")
_SIGNATURES = typer.Option(None, "--signature", help="serving_default by default; may be repeated, then in turn.")
_FILE = typer.Option(None, "--file", help="A request as of signet predict, or .jsonl with one in each line; by default "
                                          "the export's golden requests.")
_ROWS = typer.Option(0, "--rows", min=0, help="Rows in each request; as in the file by default.")
_OVER = typer.Option(Over.grpc, "--transport", help="grpc or rest.")
_CONCURRENCY = typer.Option(None, "--concurrency", help="Closed loop: callers at once; 8 by default.")
_RATE = typer.Option(None, "--rate", help="Open loop: requests a second, whether or not the server keeps up.")
_ARRIVALS = typer.Option("poisson", "--arrivals", help="Of the open loop: poisson or constant.")
_IN_FLIGHT = typer.Option(1000, "--in-flight", help="Of the open loop: unanswered requests at most.")
_SECONDS = typer.Option(10.0, "--seconds", help="Measured, after the warm-up.")
_REQUESTS = typer.Option(None, "--requests", help="End after so many measured requests.")
_WARM_UP = typer.Option(2.0, "--warm-up", metavar="SECONDS", help="At the same load, not measured.")
_SEED = typer.Option(0, "--seed", help="Of the arrivals.")
_VERSION = typer.Option(None, "--version", help="The newest by default.")
_LABEL = typer.Option(None, "--label", help="The version with this label.")
_OUTPUT = typer.Option(None, "--output", help="Write the figures to .json, .html or .png; may be repeated.")


def load(
    model: str = _MODEL,
    signature: Optional[List[str]] = _SIGNATURES,
    file: Optional[Path] = _FILE,
    rows: int = _ROWS,
    transport: Over = _OVER,
    concurrency: Optional[int] = _CONCURRENCY,
    rate: Optional[float] = _RATE,
    arrivals: str = _ARRIVALS,
    in_flight: int = _IN_FLIGHT,
    seconds: float = _SECONDS,
    requests: Optional[int] = _REQUESTS,
    warm_up: float = _WARM_UP,
    deadline: float = connecting.DEADLINE,
    seed: int = _SEED,
    version: Optional[int] = _VERSION,
    label: Optional[str] = _LABEL,
    output: Optional[List[Path]] = _OUTPUT,
    exports: Path = connecting.EXPORTS,
    host: str = connecting.HOST,
    port: int = connecting.PORT,
    rest_port: int = connecting.REST_PORT,
) -> None:
    """Put a running server under load: requests a second, latency percentiles, errors by kind."""
    if concurrency is not None and rate is not None:
        raise UsageError("give either --concurrency, for a closed loop, or --rate, for an open one")
    if version is not None and label is not None:
        raise UsageError("give either --version or --label")
    loop: Union[Open, Closed] = Closed(8 if concurrency is None else concurrency) if rate is None else Open(
        rate, arrivals, in_flight
    )
    plan = Plan(loop, seconds, requests, warm_up, deadline, seed)
    check_outputs(output or [], reports.FORMS)
    signatures = signature or ["serving_default"]
    given = sources.from_file(file) if file is not None else _golden(exports, model, version, signatures)
    manifests = export_folder.manifests(exports, [model])
    with connecting.errors_told():
        with Client(connecting.transport(transport, host, port, rest_port), manifests, deadline) as client:
            samples = sources.samples(client, Target(model, signatures[0], version, label), given, rows)
            _probe(client, samples)
        opening = connecting.async_transport(transport, host, port, rest_port)
        shots = sources.shots(opening, samples)
    server = f"{model} over {'gRPC' if transport is Over.grpc else 'REST'} at {opening.address}"
    typer.echo(f"{server}: {warm_up:g} s to warm up, then {seconds:g} s", err=True)
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    result = run.measure(lambda: opening, shots, plan)
    names = ", ".join(dict.fromkeys(each.target.signature for each in samples))
    report = Report(f"{model} {names}", server, started, plan, result)
    _show(report)
    for path in output or []:
        reports.write(report, path)
        typer.echo(f"wrote {path}", err=True)
    if not result.answered:
        raise typer.Exit(1)


def _golden(exports: Path, model: str, version: Optional[int], signatures: List[str]) -> List[Request]:
    export = export_folder.newest(exports / model) if version is None else exports / model / str(version)
    if export is None or not export.is_dir():
        raise UsageError(f"{exports} holds no {'version' if version is None else f'version {version}'} of model "
                         f"{model!r} to take requests from; give them with --file")
    return [request for name in signatures for request in sources.golden(export, name)]


def _probe(client: Client, samples: List[Sample]) -> None:
    """One answer of each signature, read in full: what is wrong with all requests is said before the load begins."""
    for sample in {sample.target: sample for sample in reversed(samples)}.values():
        target = sample.target
        client.predict(target.model, dict(sample.arrays), target.signature, target.version, target.label)


def _show(report: Report) -> None:
    console = Console()
    console.print(", ".join(f"{name} {value}" for name, value in report.figures()), highlight=False, soft_wrap=True)
    head, *rows = report.table()
    table = Table(*head)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    told = [f"{each.kind}: {each.count:,}, the first: {each.example}" for each in report.result.failures]
    for line in (*told, *(f"note: {warning}" for warning in report.warnings())):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
