"""The verb `canary` of the `signet` console. Imports no TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional

import typer
from rich.console import Console

from serving import connecting
from serving.canary import report as reports
from serving.canary import trial as trials
from serving.canary.deciding import Limits
from serving.canary.report import Report
from serving.canary.trial import Trial
from serving.releases import commands
from signatures.files import check_outputs

_DEFAULT, _TRIAL = Limits(), Trial()

_REQUESTS = typer.Option(None, "--requests", help="What users asked: .json or .jsonl as of signet load, or a TFRecord "
                                                  "file of PredictionLog.")
_SAMPLE = typer.Option(_TRIAL.sample, "--sample", min=1, help="How many of them are asked.")
_SEED = typer.Option(_TRIAL.seed, "--seed", help="Of the sample.")
_SECONDS = typer.Option(_TRIAL.seconds, "--seconds", min=0, help="How long latency is measured.")
_DIFFERENCE = typer.Option(_DEFAULT.difference, "--difference", min=0, help="Mean difference of scores, in standard "
                                                                            "deviations of the old, at most.")
_ORDER = typer.Option(_DEFAULT.order, "--order", min=0, max=1, help="Share of pairs in the same order, at least.")
_OVERLAP = typer.Option(_DEFAULT.overlap, "--overlap", min=0, max=1, help="Share of retrieved items kept, at least.")
_SLOWER = typer.Option(_DEFAULT.slower, "--slower", min=0, help="Times the old p50 and p95, at most.")
_REMOVE = typer.Option(False, "--remove", help="Take the canary away when it passes, too.")
_OUTPUT = typer.Option(None, "--output", help="Write the comparison to .json or .html; may be repeated.")


def canary(
    model: str = commands.MODEL,
    version: Optional[int] = commands.VERSION,
    live: Optional[Path] = _REQUESTS,
    sample: int = _SAMPLE,
    seed: int = _SEED,
    seconds: float = _SECONDS,
    difference: float = _DIFFERENCE,
    order: float = _ORDER,
    overlap: float = _OVERLAP,
    slower: float = _SLOWER,
    remove: bool = _REMOVE,
    output: Optional[List[Path]] = _OUTPUT,
    allow_breaking: bool = commands.ALLOW_BREAKING,
    config: Optional[Path] = commands.CONFIG,
    memory_mib: Optional[int] = commands.MEMORY,
    load_seconds: float = commands.LOAD_SECONDS,
    deadline: float = connecting.DEADLINE,
    exports: Path = connecting.EXPORTS,
    host: str = connecting.HOST,
    port: int = connecting.PORT,
) -> None:
    """Load a version beside the stable one, ask both the same, and decide; exit code 1 when it may not go on."""
    check_outputs(output or [], reports.FORMS)
    limits = Limits(difference, order, overlap, slower)
    trial = Trial(live, sample, seed, seconds, limits, allow_breaking, remove)

    def reported(report: Report) -> None:
        reports.show(report, Console())
        for file in output or []:
            reports.write(report, file)

    with commands.place(exports, config, memory_mib, (host, port), (deadline, load_seconds)) as here:
        report = trials.run(here, model, version, trial, reported)
        left = "taken away again" if remove else f"under the label canary; signet promote {model} {report.new} goes on"
        typer.echo(f"{report.verdict()}: {left}")
