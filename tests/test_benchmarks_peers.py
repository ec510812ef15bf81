"""The side-by-side benchmark: turns, medians, what is kept, and the two environments; without the peers themselves."""

from __future__ import annotations

import argparse
import ast
import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
from rich.console import Console

from signatures.errors import UsageError
from tests.benchmarks.peers import __main__ as command
from tests.benchmarks.peers import data, measure, plots, process, report, results, worker
from tests.benchmarks.peers.comparisons import COMPARISONS, PEERS, SIGNET, Comparison, Side
from tests.benchmarks.peers.process import Process, WorkerFailed
from tests.benchmarks.peers.results import Document, Failure, Result, SideRounds
from tests.benchmarks.peers.work import Settings, Work

FOLDER = Path(process.__file__).parent
HERE = f"{__name__}:"


def working(settings: Settings) -> Work:
    """A side for a real worker; it prints, as libraries do."""
    print("a library says something")
    return Work(lambda: 0.25, settings["steps"], {"told": settings["steps"] + 1})


def dying(settings: Settings) -> Work:
    print("out of memory")
    sys.stdout.flush()
    os._exit(9)


def starting(settings: Settings) -> Work:
    """A side with a server of its own, which would outlive it."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(settings["note"]).write_text(str(child.pid), encoding="utf-8")
    return Work(lambda: 0.0, 1)


def refusing(settings: Settings) -> Work:
    raise ValueError("no such model")


def comparison(name: str = "one", goal: float = 2.0, **settings: Any) -> Comparison:
    """Between two fakes."""
    peer, signet = Side("peer", PEERS, "fakes:peer"), Side("Signet", SIGNET, "fakes:signet")
    return Comparison(name, f"title of {name}", peer, signet, goal, settings)


class FakeProcess:
    """Answers as a worker does; the seconds of each round are what its side's list says."""

    seconds: Dict[str, List[float]] = {}
    called: List[str] = []
    facts: Dict[str, Dict[str, Any]] = {}

    def __init__(self, python: Path, words: Path) -> None:
        self._what = ""

    def __enter__(self) -> FakeProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.called.append("end")

    def about(self) -> Dict[str, str]:
        return {"python": "3"}

    def prepare(self, what: str, settings: Settings) -> Dict[str, Any]:
        self._what = what.partition(":")[2]
        if settings.get("fails"):
            raise WorkerFailed("it cannot be")
        limits = {"gemm_gigaflops": 100.0, "gemm_gigaflops_per_cpu_second": 50.0, "triad_gigabytes": 10.0}
        return {"facts": limits if self._what == "measure" else self.facts.get(self._what, {})}

    def round(self) -> Dict[str, float]:
        self.called.append(self._what)
        waiting = self.seconds[self._what]
        seconds = waiting.pop(0) if waiting else 1.0
        if seconds < 0:
            raise KeyboardInterrupt
        return {"seconds": seconds, "cpu_seconds": 2 * seconds, "value": 1.0}


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> type:
    """Fake processes in place of real ones."""
    made = type("Fakes", (FakeProcess,), {"seconds": {"peer": [], "signet": []}, "called": [], "facts": {}})
    monkeypatch.setattr(measure, "Process", made)
    monkeypatch.setattr(command, "Process", made)
    return made


def compared(which: Comparison, rounds: int) -> List[Result]:
    return measure.compare(which, {PEERS: Path("a"), SIGNET: Path("b")}, rounds, lambda _: None)


def sides(peer: List[float], signet: List[float], **facts: Any) -> List[SideRounds]:
    return [SideRounds(n, tuple(s), tuple(s), (), facts) for n, s in (("peer", peer), ("Signet", signet))]


def a_result(ratio: float = 3.0, goal: Any = 2.0, rounds: int = 9, name: str = "one") -> Result:
    peer, signet = sides([ratio] * rounds, [1.0] * rounds)
    found = results.result(comparison(name, goal), peer, signet, rounds)
    assert found is not None
    return found


def a_document(*found: Result, **fields: Any) -> Document:
    machine = {"processor": "a <processor>", "cores": 2, "system": "Linux"}
    return Document("today", False, 0.1, machine, {"signet": {"numpy": "1"}}, results=list(found), **fields)


def test_rounds_alternate_and_their_order_turns(fakes: Any) -> None:
    (found,) = compared(comparison(), rounds=3)
    # Two rounds of warm-up, three that count.
    pairs = ["peer", "signet", "signet", "peer", "peer", "signet", "signet", "peer", "peer", "signet"]
    assert fakes.called == [*pairs, "end", "end"]
    assert found.rounds == 3 and len(found.peer.seconds) == len(found.signet.seconds) == 3


def test_the_warm_up_does_not_count(fakes: Any) -> None:
    fakes.seconds["peer"] = [900.0, 800.0, 4.0, 4.0]
    (found,) = compared(comparison(), rounds=2)
    assert found.peer.seconds == (4.0, 4.0) and found.ratio == 4.0


def test_medians_and_quartiles_are_those_of_the_ratios_of_the_rounds() -> None:
    peer, signet = sides([2.0, 4.0, 6.0, 8.0, 20.0], [4.0, 1.0, 2.0, 1.0, 2.0])
    found = results.result(comparison(), peer, signet, planned=5)
    assert found is not None
    # Of the rounds 0.5, 4, 3, 8, 10; of the medians 6 / 2; of the best 2 / 1.
    assert (found.ratio, found.quartiles, found.best_ratio) == (4.0, (3.0, 8.0), 2.0)
    assert found.cpu_ratio == 3.0


@pytest.mark.parametrize(
    ("ratio", "goal", "said", "state"),
    [(2.0, 2, "2.00", "reached"), (1.99, 2, "1.99", "below"), (0.5, None, "0.500", ""), (123.4, 30, "123", "reached")],
)
def test_a_ratio_below_its_goal_stays_in_the_table_and_says_so(ratio: float, goal: Any, said: str, state: str) -> None:
    found = a_result(ratio, goal)
    document = a_document(found)
    assert found.state == state
    _, row = report.rows(document)
    assert row[:2] == ["one", "title of one"] and row[-1] == state and row[4] == said
    line = next(each for each in report.markdown(document, "p.png").splitlines() if "title of one" in each)
    assert line.endswith(f"| {state} |")
    assert f'<tr class="{state}">' in report.page(document)


def test_few_rounds_are_told() -> None:
    assert report.verdict(a_result(rounds=8)) == "reached, 8 rounds only"
    assert report.verdict(a_result(rounds=9)) == "reached"


def test_an_interrupted_comparison_keeps_the_rounds_that_both_sides_have(fakes: Any) -> None:
    # Warm-up, then the peer goes first in rounds 1 and 3: it has two rounds when Signet is stopped in its second.
    fakes.seconds["peer"] = [1.0, 1.0, 6.0, 8.0]
    fakes.seconds["signet"] = [1.0, 1.0, 2.0, 2.0, -1.0]
    with pytest.raises(measure.Interrupted) as stopped:
        compared(comparison(), rounds=9)
    (found,) = stopped.value.found
    assert (found.rounds, found.planned, found.partial) == (2, 9, True)
    assert found.ratio == 3.5 and fakes.called[-2:] == ["end", "end"], "both processes are ended"


def test_nothing_is_reported_of_a_comparison_without_a_round(fakes: Any) -> None:
    fakes.seconds["peer"] = [-1.0]
    with pytest.raises(measure.Interrupted) as stopped:
        compared(comparison(), rounds=9)
    assert stopped.value.found == []


def test_requests_are_compared_by_their_bytes_too(fakes: Any) -> None:
    fakes.facts.update(peer={"bytes": 4000}, signet={"bytes": 100})
    _, found = compared(comparison("grpc-x"), rounds=1)
    assert (found.name, found.ratio, found.unit, found.cpu_ratio) == ("bytes-x", 40.0, "bytes", None)
    assert report.rows(a_document(found))[1][2:4] == ["peer 4,000 bytes", "100 bytes"]


def test_a_value_that_is_no_number_is_no_measurement(fakes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"seconds": 1.0, "cpu_seconds": 1.0, "value": float("nan")}
    monkeypatch.setattr(fakes, "round", lambda self: said)
    with pytest.raises(WorkerFailed, match="peer computed nan"):
        compared(comparison(), rounds=1)


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *chosen: Comparison, only: Any = None) -> int:
    monkeypatch.setattr(command, "COMPARISONS", chosen)
    arguments = argparse.Namespace(
        only=only, quick=False, rounds=9, output=folder / "bench-peers", peers_python=Path(sys.executable)
    )
    return command.run(arguments, Console(file=io.StringIO(), width=150))


def written(folder: Path) -> Document:
    return results.parse((folder / "bench-peers.json").read_text(encoding="utf-8"))


def test_an_interrupted_run_writes_what_it_has(fakes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.seconds["peer"] = [3.0] * 11 + [1.0, 1.0, 5.0, -1.0]
    code = run(tmp_path, monkeypatch, comparison("one"), comparison("two"), comparison("three"))
    found = written(tmp_path)
    assert code == 130 and found.interrupted
    assert [(each.name, each.rounds) for each in found.results] == [("one", 9), ("two", 1)]
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".md", ".html", ".png"}
    assert "interrupted" in (tmp_path / "bench-peers.md").read_text(encoding="utf-8")


def test_a_comparison_that_fails_does_not_stop_the_others(
    fakes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path, monkeypatch, comparison("one", fails=True), comparison("two")) == 1
    found = written(tmp_path)
    assert [each.name for each in found.results] == ["two"]
    assert found.failures == [Failure("one", "title of one", "it cannot be")]
    assert "title of one: not measured (it cannot be)" in (tmp_path / "bench-peers.md").read_text(encoding="utf-8")


def test_what_is_measured_is_written_at_once(fakes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.seconds["peer"] = [1.0] * 11 + ["no number"]
    with pytest.raises(TypeError):
        run(tmp_path, monkeypatch, comparison("one"), comparison("two"))
    assert [each.name for each in written(tmp_path).results] == ["one"]


def test_a_run_of_one_comparison_keeps_the_others(fakes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = (comparison("one"), comparison("two"))
    assert run(tmp_path, monkeypatch, *both) == 0
    fakes.seconds["peer"] = [7.0] * 20
    assert run(tmp_path, monkeypatch, *both, only=["two"]) == 0
    assert {each.name: each.ratio for each in written(tmp_path).results} == {"one": 1.0, "two": 7.0}


def test_what_another_machine_measured_is_not_kept() -> None:
    before, now = a_document(a_result(name="one")), a_document(a_result(name="two"))
    before.machine["cores"] = 4
    assert [each.name for each in results.merged(before, now).results] == ["two"]


def test_a_missing_environment_names_the_cure(tmp_path: Path) -> None:
    arguments = argparse.Namespace(peers_python=tmp_path / "python")
    with pytest.raises(UsageError, match="run make bench-peers"):
        command.run(arguments, Console())


def test_json_is_strict_and_reads_back_equal() -> None:
    document = a_document(a_result(), failures=[Failure("x", "y", "z")], limits={"gemm_gigaflops": 1.0})
    text = document.json()
    json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert results.parse(text) == document


def test_share_of_the_limit_adds_products_and_bytes() -> None:
    (side, _) = sides([2.0], [1.0], gigaflop=50.0, gigabytes=4.0)
    # 50 of 100 GFLOP/s are half a second, 4 of 8 GB/s another half: one of the two seconds.
    assert results.share_of_limit(side, {"gemm_gigaflops": 100.0, "triad_gigabytes": 8.0}) == pytest.approx(0.5)
    assert results.share_of_limit(sides([1.0], [1.0])[0], {"gemm_gigaflops": 1.0, "triad_gigabytes": 1.0}) is None


def test_the_page_needs_nothing_but_itself() -> None:
    page = report.page(a_document(a_result(), a_result(0.5, name="<two>")))
    assert "<svg" in page and "title of &lt;two&gt;" in page and "a &lt;processor&gt;" in page
    assert not re.search(r"""(src|href)=["'](?!#)|@import|https?://""", page)
    assert plots.png([a_result()])[:4] == b"\x89PNG"


def test_a_worker_answers_through_the_words_of_its_libraries(tmp_path: Path) -> None:
    with Process(Path(sys.executable), tmp_path / "words") as asked:
        assert asked.about()["numpy"] == np.__version__
        assert asked.prepare(f"{HERE}working", {"steps": 4}) == {"steps": 4, "facts": {"told": 5}}
        said = asked.round()
        assert said["value"] == 0.25 and said["seconds"] >= 0 and said["cpu_seconds"] >= 0
        with pytest.raises(WorkerFailed, match="ValueError: no such model"):
            asked.prepare(f"{HERE}refusing", {})
        with pytest.raises(WorkerFailed, match="before anything was prepared"):
            asked.round()
        with pytest.raises(WorkerFailed, match=r"(?s)ended with code 9; it said: .*out of memory"):
            asked.prepare(f"{HERE}dying", {})


def test_what_a_worker_has_started_ends_with_it(tmp_path: Path) -> None:
    note = tmp_path / "child"
    with pytest.raises(KeyboardInterrupt), Process(Path(sys.executable), tmp_path / "words") as asked:
        asked.prepare(f"{HERE}starting", {"note": str(note)})
        raise KeyboardInterrupt
    child = int(note.read_text(encoding="utf-8"))
    end = time.monotonic() + 10
    while alive(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(child)


def alive(number: int) -> bool:
    """Whether it runs; one that has ended and is not yet collected does not."""
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(number)], capture_output=True, text=True).stdout.strip()
    return told not in ("", "Z", "Zs", "ZN", "ZNs")


def test_times_are_those_of_a_step() -> None:
    clock = iter([0.0, 6.0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.perf_counter", lambda: next(clock))
        assert worker.measured(Work(lambda: 1.0, 3))["seconds"] == 2.0


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="only Linux tells of running children")
def test_the_time_of_a_running_server_counts() -> None:
    burn = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True)\ntime.sleep(60)"
    before = worker.cpu_seconds()
    with subprocess.Popen([sys.executable, "-c", burn], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline()
        assert worker.cpu_seconds() - before >= 0.4  # the system counts in hundredths
        child.kill()


def test_the_peers_environment_needs_no_signet() -> None:
    for name in ("__init__", "worker", "work", "data", "counting", "deepctr_side", "tfrs_side"):
        tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
        found = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        found |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert not {each for each in found if each.split(".")[0] in ("pipeline", "serving", "signatures")}, name


def test_every_side_is_a_function_that_is_there() -> None:
    asked = {side.what for each in COMPARISONS for side in (each.peer, each.signet, *each.before)}
    for what in asked:
        module, _, function = what.partition(":")
        tree = ast.parse((FOLDER / f"{module.rpartition('.')[2]}.py").read_text(encoding="utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, what


def test_requirements_are_pinned_and_name_no_index() -> None:
    text = (FOLDER / "requirements.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines == ["deepctr==0.9.4"] and "://" not in text
    lock = (process.ROOT / "requirements.lock").read_text(encoding="utf-8")
    for needed in ("tensorflow", "tf-keras", "tensorflow-recommenders", "scann", "h5py", "requests"):
        assert re.search(rf"^{needed}==", lock, re.MULTILINE), f"{needed} is what the peers take from the lock"


def test_make_target_shows_its_help() -> None:
    # Without the variables of a make that may run this test.
    environment = {name: value for name, value in os.environ.items() if not re.match("MAKE|MFLAGS|ARGS", name)}

    def said(*arguments: str) -> str:
        run = subprocess.run(
            arguments, cwd=process.ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60
        )
        return run.stdout

    last = said("make", "-n", "bench-peers", "ARGS=--help").splitlines()[-1]
    assert last == ".venv/bin/python -m tests.benchmarks.peers --help"
    shown = said(sys.executable, *last.split()[1:])
    assert all(name in shown.replace("\n", " ") for name in ("--only", "--quick", "train-deepfm-10m"))


def test_the_tiled_request_says_the_same() -> None:
    asked, tiled = data.one_user(50, 5, 3, 2), data.tiled_user(50, 5, 3, 2)
    assert tiled["hist_item_id"].shape == (3, data.HISTORY)
    for row in range(3):
        assert tiled["item_id"][row, 0] == asked["item_id"][row]
        assert tiled["hist_item_id"][row, :2].tolist() == asked["hist_item_id"].tolist()
        assert not tiled["hist_item_id"][row, 2:].any() and tiled["hist_length"][row, 0] == 2


def test_histories_are_zero_behind_their_length_and_ids_stay_in_their_table() -> None:
    found, _ = data.histories(30, 7, 16, 2)
    present = np.arange(data.HISTORY) < found["hist_length"][..., np.newaxis]
    assert ((found["hist_item_id"] > 0) == present).all() and ((found["hist_category_id"] > 0) == present).all()
    assert found["hist_item_id"].max() <= 30 and found["category_id"].max() <= 7
