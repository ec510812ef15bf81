"""`make bench-peers`: Signet beside DeepCTR and tensorflow-recommenders, written to reports/bench-peers.*

python -m tests.benchmarks.peers [--quick] [--rounds N] [--only NAME]...
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Dict, List, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from signatures.errors import UsageError
from signatures.files import write_whole
from tests.benchmarks.peers import machine, measure, plots, report, results
from tests.benchmarks.peers.comparisons import BY_NAME, COMPARISONS, PEERS, SIGNET, Comparison
from tests.benchmarks.peers.process import ROOT, Process, WorkerFailed
from tests.benchmarks.peers.results import Document, Failure

ROUNDS = 11
PYTHON = ROOT / "build" / "peers" / "bin" / "python"
INTERRUPTED = 130


def main() -> int:
    """Runs what was asked for, all by default; what was measured is written after every comparison."""
    chosen = _parse(sys.argv[1:])
    console = Console()
    console.width = max(console.width, 150)  # a pipe has 80 columns, which cut the titles
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it as Ctrl-C does: with what was measured
    try:
        return run(chosen, console)
    except UsageError as error:
        console.print(f"bench-peers: {error}", markup=False, style="red")
        return 2


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-peers", description=(
        "Signet beside DeepCTR and tensorflow-recommenders: the same data, dimensions and batch, rounds in turn. "
        "Options go into ARGS: make bench-peers ARGS='--only rank-din-50'. Signet's own ratios: make bench."
    ))
    parser.add_argument("--only", action="append", metavar="NAME", choices=list(BY_NAME),
                        help=f"may be repeated; of {', '.join(BY_NAME)}")
    parser.add_argument("--quick", action="store_true", help="small sizes and two rounds: to see that it runs")
    parser.add_argument("--rounds", type=int, default=None, help=f"of each comparison; {ROUNDS} by default")
    parser.add_argument("--output", type=Path, default=None,
                        help="what is written, without its ending; reports/bench-peers by default")
    parser.add_argument("--peers-python", type=Path, default=PYTHON, help="of the environment with the peers")
    chosen = parser.parse_args(arguments)
    chosen.rounds = chosen.rounds or (2 if chosen.quick else ROUNDS)
    chosen.output = chosen.output or Path("reports") / ("bench-peers-quick" if chosen.quick else "bench-peers")
    return chosen


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Returns the process's exit code: 0, 1 where a comparison failed, 130 where it was interrupted."""
    if not chosen.peers_python.is_file():
        raise UsageError(f"--peers-python {chosen.peers_python} is not there; run make bench-peers, which makes it")
    pythons = {PEERS: chosen.peers_python, SIGNET: Path(sys.executable)}
    asked = [each for each in COMPARISONS if not chosen.only or each.name in chosen.only]
    comparisons = [each.quickly() for each in asked] if chosen.quick else asked
    document = Document(started=time.strftime("%Y-%m-%d %H:%M"), quick=chosen.quick, load=machine.load())
    try:
        begin(document, pythons)
        _all(document, comparisons, pythons, chosen, console)
    except KeyboardInterrupt:
        document.interrupted = True
    finish(document, chosen, console)
    return INTERRUPTED if document.interrupted else int(bool(document.failures))


def begin(document: Document, pythons: Dict[str, Path]) -> None:
    """Machine, versions and limits. Raises UsageError where an environment does not even start."""
    document.machine = machine.describe()
    try:
        for environment, python in pythons.items():
            with Process(python, Path("/dev/null")) as process:
                document.versions[environment] = process.about()
        document.limits = measure.limits(pythons, trials=2 if document.quick else 9)
    except WorkerFailed as error:
        raise UsageError(f"an environment does not work ({error}); remove build/peers and run again") from error


def _all(
    document: Document, comparisons: List[Comparison], pythons: Dict[str, Path], chosen: argparse.Namespace,
    console: Console,
) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[doing]}"), console=console) as progress:
        bar = progress.add_task("", total=len(comparisons), doing="")
        for comparison in comparisons:
            progress.update(bar, description=comparison.name)
            try:
                found = measure.compare(
                    comparison, pythons, chosen.rounds, lambda doing: progress.update(bar, doing=doing)
                )
                document.results += found
                for each in found:
                    console.print(report.line(each), markup=False, highlight=False)
            except WorkerFailed as error:
                document.failures.append(Failure(comparison.name, comparison.title, str(error)))
            except measure.Interrupted as stop:
                document.results += stop.found
                raise KeyboardInterrupt from stop
            progress.advance(bar)
            write(document, chosen)


def finish(document: Document, chosen: argparse.Namespace, console: Console) -> None:
    """Prints and writes what there is."""
    whole = write(document, chosen)
    tables = {"ratios: above 1, Signet is faster": report.rows(whole), "shares": report.share_rows(whole)}
    for title, cells in tables.items():
        if len(cells) > 1:
            table = Table(*cells[0], title=title)
            for row in cells[1:]:
                table.add_row(*row)
            console.print(table)
    for sentence in [*report.warnings(whole), *report.told(whole)]:
        console.print(sentence, markup=False)
    console.print(f"written: {chosen.output}.json, .md, .html and .png", markup=False)


def write(document: Document, chosen: argparse.Namespace) -> Document:
    """The document's files; returns it with what an earlier run of other comparisons had measured."""
    where: Path = chosen.output
    whole = document
    source = where.with_name(f"{where.name}.json")
    if chosen.only and source.is_file():
        # Where another version has written it, what is measured now stands alone.
        with suppress(ValueError, KeyError, TypeError):
            whole = results.merged(results.parse(source.read_text(encoding="utf-8")), document)
    write_whole(source, whole.json())
    write_whole(where.with_name(f"{where.name}.html"), report.page(whole))
    write_whole(where.with_name(f"{where.name}.md"), report.markdown(whole, f"{where.name}.png"))
    if whole.results:
        write_whole(where.with_name(f"{where.name}.png"), plots.png(whole.results))
    return whole


if __name__ == "__main__":
    sys.exit(main())
