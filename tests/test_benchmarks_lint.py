"""The benchmark of the linter: its models are what it says they are, and it measures each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from signatures.lint import lint as run_lint
from signatures.reader import read
from tests.benchmarks import lint
from tests.saved_model_files import write

EXAMPLE = "input price float32[?]\noutput score float32[?]\nscore = AddV2 price price"


def test_nested_model_has_the_functions_and_nodes_asked_for_and_its_leak_is_found(tmp_path: Path) -> None:
    model = read(lint.nested(tmp_path, functions=7, nodes=12))
    assert len(model.functions) == 7 and {len(each.nodes) for each in model.functions.values()} == {12}
    (finding,) = [each for each in run_lint(tmp_path) if each.rule == "SIG101"]
    assert "at Mul 'n0' of function f6" in finding.message


def test_each_export_is_measured_and_then_the_made_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("FUNCTIONS", 3), ("NODES", 5), ("CONSTANT", 2 << 20)):
        monkeypatch.setattr(lint, name, value)
    for version in ("9", "10"):
        write(tmp_path / "exports" / "small" / version, EXAMPLE)
    (tmp_path / "exports" / "notes").mkdir()
    exports = lint.newest(tmp_path / "exports")
    measured = list(lint.measure(exports, rounds=1))
    assert [(one.model, one.functions, one.nodes) for one in measured] == [
        ("small/10", 0, 2),
        ("3 functions", 3, 18),  # 3 functions of 5 nodes; price, mask and the call
        ("2 MiB constant", 0, 3),
    ]
    # The interpreter alone takes some 10 MiB and 0.02 s.
    assert all(one.seconds > 0.02 and one.cpu_seconds > 0.02 and one.peak_mebibytes > 10 for one in measured)
    assert [len(row) for row in lint.table(measured)] == [7, 7, 7, 7]


def test_no_exports_are_none(tmp_path: Path) -> None:
    assert lint.newest(tmp_path / "nothing") == []


def test_large_graph_and_small_one_are_linted_soon(tmp_path: Path) -> None:
    """From the process's start to its end: under 2 s and 0.5 s on a good machine; here with room for a slow one."""
    small = lint._measure("small", write(tmp_path / "small", EXAMPLE), rounds=1)
    large = lint._measure("large", lint.nested(tmp_path / "large", lint.FUNCTIONS, lint.NODES), rounds=1)
    assert (large.functions, large.nodes) == (1000, 100_003)
    assert small.cpu_seconds < 1 and large.cpu_seconds < 4
