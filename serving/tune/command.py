"""The verb `tune` of the `signet` console. Imports no TensorFlow; the servers that it starts do."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import typer
from rich.console import Console

from serving import connecting, launch
from serving import exports as export_folder
from serving.client.grpc_transport import AsyncGrpcTransport
from serving.client.transport import Target
from serving.deployment import served
from serving.launch import Server
from serving.load import sources
from serving.load.plan import Closed, Plan
from serving.load.sources import Shot
from serving.tune import report as reports
from serving.tune import writing
from serving.tune.report import Report
from serving.tune.setting import Measured, Setting
from serving.tune.sweep import Knobs, best, pays, sweep
from serving.tune.trials import Trials, trials
from signatures.errors import UsageError
from signatures.files import check_outputs

_MODEL = typer.Argument(..., help="The model; its newest export is tuned.")
_P99 = typer.Option(50.0, "--p99", min=0.001, metavar="MS", help="What the slowest hundredth of requests may take.")
_SIGNATURE = typer.Option("serving_default", "--signature", help="Whose golden requests are sent.")
_ROWS = typer.Option(1, "--rows", min=1, help="Rows of each request.")
_CONCURRENCY = typer.Option(32, "--concurrency", min=1, max=250, help="Callers, each waiting for its answer.")
_SECONDS = typer.Option(3.0, "--seconds", min=0.01, help="For each setting.")
_BATCH = typer.Option(None, "--batch", min=1, help="A largest batch to try; may be repeated; 8, 16, 32, 64, 128.")
_TIMEOUT = typer.Option(None, "--timeout", min=0, metavar="MICROS", help="Likewise what a batch waits; 0, 500, 2000.")
_THREADS = typer.Option(None, "--threads", min=1, help="Likewise batches at once; the cores, and twice as many.")
_OUTPUT = typer.Option(None, "--output", help="The chart and figures: .html, .png or .json; reports/tune_MODEL.html.")
_DRY_RUN = typer.Option(False, "--dry-run", help="Only measure; the export stays as it is.")


@dataclass
class _Bench:
    """Measures settings one after the other, on one server for each number of threads."""

    server: Server
    model: str
    export: Path
    signature: str
    rows: int
    plan: Plan
    pads: bool
    threads: int
    stack: ExitStack
    console: Console
    _here: Dict[int, Trials] = field(default_factory=dict)

    def measure(self, setting: Optional[Setting]) -> Measured:
        """Of no batching for None."""
        here = self.trials(setting.threads if setting is not None else self.threads)
        here.load(setting.text(self.pads) if setting is not None else None)
        found = here.measure(setting, self._shots(here), self.plan)
        told = f"{found.told()}: {found.rows_per_second:,.0f} rows/s, p99 {found.p99:.3g} ms"
        self.console.print(told, highlight=False)
        return found

    def trials(self, threads: int) -> Trials:
        """The server with so many threads; the one before it ends, for two would share the cores."""
        if threads not in self._here:
            self.stack.close()
            self._here.clear()
            self._here[threads] = self.stack.enter_context(trials(self.server, self.model, self.export, threads))
        return self._here[threads]

    def _shots(self, here: Trials) -> List[Shot]:
        given = sources.golden(self.export, self.signature)
        samples = sources.samples(here.client, Target(self.model, self.signature), given, self.rows)
        return sources.shots(AsyncGrpcTransport("127.0.0.1", here.port), samples)


def tune(
    model: str = _MODEL,
    p99: float = _P99,
    signature: str = _SIGNATURE,
    rows: int = _ROWS,
    concurrency: int = _CONCURRENCY,
    seconds: float = _SECONDS,
    batch: Optional[List[int]] = _BATCH,
    timeout: Optional[List[int]] = _TIMEOUT,
    threads: Optional[List[int]] = _THREADS,
    output: Optional[List[Path]] = _OUTPUT,
    dry_run: bool = _DRY_RUN,
    exports: Path = connecting.EXPORTS,
) -> None:
    """Find batching parameters that answer the most rows within a p99 target, and write them into the export."""
    files = output or [Path("reports") / f"tune_{model}.html"]
    check_outputs(files, reports.FORMS)
    export, pads = _export(exports, model)
    knobs = _knobs(rows, batch, timeout, threads)
    server, console = _server(), Console(stderr=True)
    plan = Plan(Closed(concurrency), seconds, warm_up_seconds=min(1.0, seconds / 3))
    with connecting.errors_told(), ExitStack() as stack:
        bench = _Bench(server, model, export, signature, rows, plan, pads, knobs.threads[0], stack, console)
        measured = sweep(knobs, p99, bench.measure)
        chosen, verdict = _chosen(measured, p99)
        if chosen is not None and chosen.setting is not None:
            here, text = bench.trials(chosen.setting.threads), chosen.setting.text(pads)
            records = writing.warm_up(here.client, model, export, chosen.setting.warm_up_sizes())
            here.load(text, records)  # the very files, replayed by a server, before anybody else gets them
            if not dry_run:
                writing.write(export, text, records)
                verdict += f"; written into {export}, for the next time that it is loaded"
    load = f"{signature}, {rows} rows a request, {concurrency} callers, {seconds:g} s each"
    report = Report(model, f"{server.kind} on {os.cpu_count()} cores", load, p99, measured, chosen, verdict)
    reports.show(report, Console())
    for file in files:
        reports.write(report, file)
        console.print(f"wrote {file}", highlight=False)
    if not any(each.meets(p99) for each in measured):
        raise typer.Exit(1)


def _chosen(measured: List[Measured], p99: float) -> Tuple[Optional[Measured], str]:
    chosen = best(measured, p99)
    if chosen is None:
        fastest = min((each.p99 for each in measured if each.answered and not each.failed), default=None)
        told = "every setting failed requests" if fastest is None else f"the best p99 is {fastest:.3g} ms"
        return None, f"no batching within {p99:g} ms: {told}; nothing was written"
    if not pays(chosen, measured, p99):
        return None, f"batching does not pay: {chosen.told()} answers no more than no batching; nothing was written"
    return chosen, f"{chosen.told()}: {chosen.rows_per_second:,.0f} rows a second, p99 {chosen.p99:.3g} ms"


def _export(exports: Path, model: str) -> Tuple[Path, bool]:
    """The newest version, and whether it has lists to pad. Raises UsageError where rows may not be merged."""
    base = export_folder.base_paths(exports, [model])[model]
    found = served.describe({model: base})[0]
    if not found.independent_rows:
        raise UsageError(f"nothing declares that the rows of {model} are independent of each other (batchable, in its "
                         "manifest), so a server must not merge requests; there is nothing to tune")
    version = export_folder.newest(base)
    assert version is not None
    return version, found.ragged


def _knobs(
    rows: int, batch: Optional[List[int]], timeout: Optional[List[int]], threads: Optional[List[int]]
) -> Knobs:
    """A batch holds at least one request. Raises UsageError for a batch that does not."""
    small = [size for size in batch or [] if size < rows]
    if small:
        raise UsageError(f"--batch {small[0]} is smaller than a request of {rows} rows, which the server would refuse")
    cores = os.cpu_count() or 1
    sizes = batch or [size for size in (8, 16, 32, 64, 128) if size >= rows] or [rows]
    return Knobs(tuple(sizes), tuple(timeout or (0, 500, 2000)), tuple(threads or (cores, 2 * cores)))


def _server() -> Server:
    server = launch.choose(os.environ)
    if server.kind != launch.REAL:
        typer.echo("no tensorflow_model_server here: the embedded server is measured, whose figures are only a hint of "
                   "production's", err=True)
    return launch.embedded() if server.kind == launch.DOCKER else server
