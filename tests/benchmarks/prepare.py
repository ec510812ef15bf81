"""Time and peak memory of preparing N synthetic events, each in a process of its own: memory must not follow N.

python tests/benchmarks/prepare.py 1000000 10000000
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import List, Sequence

from tests.benchmarks.memory import peak_mebibytes

ITEMS = 5_000
EVENTS_PER_USER = 100


@dataclass(frozen=True)
class Measurement:
    """Of one run."""

    rows: int
    """Prepared, about as many as asked for."""
    seconds: float
    peak_mebibytes: float
    """Resident memory of the process at its most, with the interpreter and the libraries."""

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds


def measure(rows: int) -> Measurement:
    """Prepares about this many events in a fresh process and a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="signet-bench-") as folder:
        command = [sys.executable, str(Path(__file__).resolve()), "--here", str(rows), folder]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return Measurement(**json.loads(done.stdout.splitlines()[-1]))


def growth(small: Measurement, large: Measurement) -> float:
    """How many times the memory of the small run the large one needed."""
    return large.peak_mebibytes / small.peak_mebibytes


def table(measured: Sequence[Measurement]) -> List[List[str]]:
    """Rows of text, the head first."""
    head = ["rows", "seconds", "rows/s", "peak MiB"]
    return [
        head,
        *(
            [f"{m.rows:,}", f"{m.seconds:.1f}", f"{m.rows_per_second:,.0f}", f"{m.peak_mebibytes:,.0f}"]
            for m in measured
        ),
    ]


def _prepare(rows: int, folder: Path) -> Measurement:
    from rich.console import Console

    from pipeline.preparation.options import Options
    from pipeline.preparation.prepare import prepare
    from pipeline.sources.synthetic import Size

    size = Size(users=max(rows // EVENTS_PER_USER, 1), items=ITEMS, events_per_user=EVENTS_PER_USER)
    start = time.perf_counter()
    found = prepare("synthetic", folder / "synthetic", Options(size=size), Console(quiet=True))
    seconds = time.perf_counter() - start
    return Measurement(sum(found.facts.rows.values()), seconds, peak_mebibytes())


def main(arguments: Sequence[str]) -> None:
    """Prints a line for each number of rows."""
    if arguments[:1] == ["--here"]:
        print(json.dumps(asdict(_prepare(int(arguments[1]), Path(arguments[2])))))
        return
    found = [measure(int(rows)) for rows in arguments or ["1000000", "10000000"]]
    for row in table(found):
        print("".join(f"{cell:>14}" for cell in row))
    if len(found) > 1:
        print(f"memory of the last over the first: {growth(found[0], found[-1]):.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
