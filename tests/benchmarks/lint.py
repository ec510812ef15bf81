"""What it costs to lint a model: a process from its start to its end, for exports and for graphs made to be large.

python -m tests.benchmarks.lint [EXPORT]…
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Iterator, List, Sequence, Tuple

from signatures import reader
from tests.saved_model_files import message, save

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS, NODES = 1000, 100
CONSTANT = 200 << 20
"""Bytes."""


@dataclass(frozen=True)
class Measurement:
    """Of one model. Times are medians over the rounds, of the whole process."""

    model: str
    functions: int
    nodes: int
    file_mebibytes: float
    seconds: float
    cpu_seconds: float
    peak_mebibytes: float
    rounds: int


def measure(exports: Iterable[Path], rounds: int = 5) -> Iterator[Measurement]:
    """Every export given; then a graph of 1,000 functions that call each other, and one that holds a large constant."""
    for export in exports:
        yield _measure(f"{export.parent.name}/{export.name}", export, rounds)
    with tempfile.TemporaryDirectory(prefix="signet-bench-") as folder:
        yield _measure(f"{FUNCTIONS:,} functions", nested(Path(folder) / "nested", FUNCTIONS, NODES), rounds)
        yield _measure(f"{CONSTANT >> 20} MiB constant", with_constant(Path(folder) / "constant", CONSTANT), rounds)


def nested(folder: Path, functions: int, nodes: int) -> Path:
    """A model whose functions call the next one each, of so many nodes; mask reaches an output from the innermost."""
    lines = ["input price float32[?]", "input mask float32[?]", "output score float32[?] = call"]
    lines += ["call = StatefulPartitionedCall price mask f=@f0"]
    for number in range(functions):
        last = number == functions - 1
        lines.append(f"function f{number}(x, y) -> n{nodes - 1}:z:0")
        lines += ["  n0 = Mul x y T=float32" if last else f"  n0 = StatefulPartitionedCall x y f=@f{number + 1}"]
        for node in range(1, nodes):
            constant = node % 5 == 1
            other = f"n{node - node % 5 + 1}:output:0" if node > 4 and node % 5 else "x"
            computed = f"{'AddV2' if node % 2 else 'Mul'} {_before(node)} {other} T=float32"
            lines.append(f"  n{node} = {'Const dtype=float32' if constant and node < nodes - 1 else computed}")
    return save(folder, message("\n".join(lines)))


def _before(node: int) -> str:
    """The last node before this one that is no constant."""
    before = node - 1
    before -= before % 5 == 1
    return f"n{before}:{'z' if before else 'output'}:0"


def with_constant(folder: Path, size: int) -> Path:
    """A model with a constant of so many bytes in its graph."""
    content = message("input price float32[?]\noutput score float32[?]\nweights = Const\nscore = Mul price weights")
    node = next(each for each in content.meta_graphs[0].graph_def.node if each.name == "weights")
    node.attr["value"].tensor.tensor_content = bytes(size)
    return save(folder, content)


def _measure(name: str, export: Path, rounds: int) -> Measurement:
    model = reader.read(export)
    runs = [_run(model.path) for _ in range(rounds)]
    seconds, cpu, peak = (statistics.median(each) for each in zip(*runs))
    return Measurement(
        model=name,
        functions=len(model.functions),
        nodes=len(model.graph.nodes) + sum(len(each.nodes) for each in model.functions.values()),
        file_mebibytes=model.file_bytes / 2**20,
        seconds=seconds,
        cpu_seconds=cpu,
        peak_mebibytes=peak,
        rounds=rounds,
    )


def _run(export: Path) -> Tuple[float, float, float]:
    """Seconds by wall clock and by processor clock, and the peak of memory, of one process."""
    script = f"import sys\nfrom signatures.__main__ import main\nsys.argv[1:] = ['lint', {str(export)!r}]\n"
    script += "try:\n    main()\nexcept SystemExit:\n    pass\n"
    script += "from tests.benchmarks.memory import peak_mebibytes\nprint(peak_mebibytes())"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return seconds, cpu, float(done.stdout.splitlines()[-1])


def table(measured: Sequence[Measurement]) -> List[List[str]]:
    """Rows of text, the head first."""
    head = ["model", "functions", "nodes", "file MiB", "seconds", "CPU s", "peak MiB"]
    return [head, *(_cells(one) for one in measured)]


def _cells(one: Measurement) -> List[str]:
    return [
        one.model,
        f"{one.functions:,}",
        f"{one.nodes:,}",
        f"{one.file_mebibytes:.1f}",
        f"{one.seconds:.2f}",
        f"{one.cpu_seconds:.2f}",
        f"{one.peak_mebibytes:.0f}",
    ]


def newest(exports: Path) -> List[Path]:
    """The newest version of every model in a folder of models."""
    folders = sorted(each for each in exports.iterdir() if each.is_dir()) if exports.is_dir() else []
    return [reader.locate(each) for each in folders if any(inner.name.isdecimal() for inner in each.iterdir())]


if __name__ == "__main__":
    for row in table(list(measure([reader.locate(Path(each)) for each in sys.argv[1:]]))):
        print("".join(f"{cell:>18}" for cell in row))
