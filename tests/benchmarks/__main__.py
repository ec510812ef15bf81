"""`signet bench`: every benchmark, printed as tables and written to reports/bench.json.

python -m tests.benchmarks [--quick] [training tables rank retrieval prepare serving lint]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, List, Sequence

from rich.console import Console
from rich.table import Table

from pipeline import experiment as experiments
from pipeline.builder import Built, build
from pipeline.dataset import training_batches
from pipeline.models import registry
from pipeline.places import Places
from pipeline.prepared import Prepared
from tests.benchmarks import lint, prepare, rank, rank_over_grpc, retrieval, serving, tables, training

WHAT = ("training", "tables", "rank", "retrieval", "prepare", "serving", "lint")


def main() -> None:
    """Runs what was asked for, all by default."""
    parser = argparse.ArgumentParser(prog="signet bench", description="Ratios from interleaved rounds, medians.")
    parser.add_argument("what", nargs="*", metavar="WHAT", help=f"of {', '.join(WHAT)}; all by default")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and rows: to see that it runs")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the prepared data sets")
    parser.add_argument("--dataset", default=None, help="as of signet train")
    parser.add_argument("--exports", type=Path, default=Path("exports"), help="folder of the models to lint")
    parser.add_argument("--output", type=Path, default=Path("reports/bench.json"), help="where the figures go")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.what if name not in WHAT]
    if unknown:
        parser.error(f"benchmark {unknown[0]!r} is unknown; choose of {', '.join(WHAT)}")
    console = Console()
    console.width = max(console.width, 150)  # a pipe has 80 columns, which cut the names
    found: Dict[str, Any] = {}
    for name in chosen.what or WHAT:
        measured = run(name, chosen, console)
        found[name] = [asdict(one) for one in measured]
        chosen.output.parent.mkdir(parents=True, exist_ok=True)
        chosen.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    console.print(f"written: {chosen.output}")


def run(name: str, chosen: argparse.Namespace, console: Console) -> List[Any]:
    """One benchmark, printed."""
    if name == "prepare":
        measured: List[Any] = [
            prepare.measure(rows) for rows in ((20_000, 200_000) if chosen.quick else (1_000_000, 10_000_000))
        ]
        _print(f"preparation; memory grows {prepare.growth(*measured):.2f} times", prepare.table(measured), console)
        return measured
    if name == "tables":
        sizes = (26_000, 100_000) if chosen.quick else (100_000, 1_000_000, 10_000_000)
        measured = [tables.measure(rows, rounds=2 if chosen.quick else 9) for rows in sizes]
        _print("a training step: lazy updates against the dense optimizer", tables.table(measured), console)
        return measured
    if name == "retrieval":
        size, rounds = (20_000, 2) if chosen.quick else (1_000_000, 15)
        measured = list(retrieval.measure(size, rounds=rounds))
        _print("the best 100 items, against brute force", retrieval.table(measured), console)
        return measured
    if name == "lint":
        measured = list(lint.measure(lint.newest(chosen.exports), rounds=1 if chosen.quick else 5))
        _print("linting, the start of the process included", lint.table(measured), console)
        return measured
    with tempfile.TemporaryDirectory() as folder:
        prepared = Places(chosen.data, Path(folder), Path(folder)).prepared(chosen.dataset, console)
        if name == "serving":
            asked, rounds = (20, 2) if chosen.quick else (200, 7)
            measured = list(serving.measure(ready("din", prepared), prepared, Path(folder), asked=asked, rounds=rounds))
            _print("din behind a server; ratio: requests/s over those in process", serving.table(measured), console)
            return measured
    built = [ready(model, prepared) for model in registry.NAMES]
    rounds = 2 if chosen.quick else 15
    if name == "training":
        measured = list(training.measure(built, prepared, batches=5 if chosen.quick else 400, rounds=min(rounds, 3)))
        _print("training", training.table(measured), console)
        return measured
    measured = [one for each in built for one in rank.measure(each, prepared, rounds=rounds)]
    din = next(each for each in built if each.experiment.model == "din")
    measured += rank.measure(din, prepared, history=25, rounds=rounds)
    _print("rank against the same rows tiled", rank.table(measured), console)
    with tempfile.TemporaryDirectory() as folder:
        for each, history in ((din, None), (din, 25), (built[0], None)):
            measured += rank_over_grpc.measure(each, prepared, Path(folder), history=history, rounds=rounds)
    over = [one for one in measured if isinstance(one, rank_over_grpc.Measurement)]
    _print("the same over gRPC, end to end", rank_over_grpc.table(over), console)
    return measured


def ready(model: str, prepared: Prepared) -> Built:
    """The model of its own experiment, variables made, untrained: speed does not depend on their values."""
    built = build(experiments.load(model), prepared)
    plan = built.experiment.data
    data = training_batches(prepared, built.encoder, built.schema, built.spec.rows, plan, seed=1, epoch=0)
    built.graph.prepare(next(iter(data)))
    return built


def _print(title: str, rows: Sequence[Sequence[str]], console: Console) -> None:
    table = Table(*rows[0], title=title)
    for row in rows[1:]:
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main()
