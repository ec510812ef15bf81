"""The process in which a stranger's model runs: what it may do, what it cannot, and how its end is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, List, Tuple

import pytest
from typer.testing import CliRunner

from signatures.__main__ import app
from signatures.execution import run as execution
from signatures.findings import Finding
from signatures.lint import open_export
from tests import executed_models as models
from tests import saved_model_files

ROOT = Path(__file__).resolve().parent.parent
PLAIN = "input price float32[?]\noutput score float32[?] = price\n"


def run(folder: Path, **limits: Any) -> List[Finding]:
    return execution.run(open_export(folder), **limits)


def test_model_is_run_in_another_process(tmp_path: Path) -> None:
    """What it prints, to either stream and however much like our own lines, is not taken for ours."""
    assert run(models.talks(tmp_path / "m")) == []
    (finding,) = run(models.times_zero(tmp_path / "zero"))
    assert (finding.rule, finding.tensor) == ("SIG707", "age")


def test_importing_the_runner_costs_nothing() -> None:
    script = (
        "import sys; from signatures.execution import run; import signatures.cards;"
        "signatures.cards.codes(); print({'numpy', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_endless_model_is_stopped_and_told(tmp_path: Path) -> None:
    folder = models.endless_loop(tmp_path / "endless-model")
    started = time.monotonic()
    (finding,) = run(folder, seconds=8)
    assert time.monotonic() - started < 30
    assert (finding.rule, finding.severity) == ("SIG709", "error")
    assert "had not finished after 8 s and was stopped while " in finding.message
    assert _children() == []


def _children() -> List[str]:
    """Children of this process that run the child's module."""
    listed = subprocess.run(
        ["ps", "-o", "args", "--ppid", str(os.getpid())], capture_output=True, text=True, check=False
    )
    return [line for line in listed.stdout.splitlines() if "signatures.execution.child" in line]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("import os; os.abort()", "was killed by SIGABRT"),
        ("import os; os._exit(3)", "ended with exit code 3"),
        ("raise MemoryError('no room')", "ended with exit code 1 (MemoryError: no room)"),
        (
            "import os, sys; sys.stderr.write('x' * 10**7 + '\\nlast words\\n'); sys.stderr.flush(); os._exit(4)",
            "ended with exit code 4 (last words)",
        ),
        ('import os; os.write(1, b\'{"finding": {"ru\'); os._exit(5)', "ended with exit code 5"),
    ],
    ids=["abort", "exit", "exception", "noise", "half a line"],
)
def test_process_that_dies_is_told_with_what_it_was_doing(
    body: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module in TensorFlow's place dies at its import, as the real one may at anything."""
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "tensorflow.py").write_text(body)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))
    (finding,) = run(saved_model_files.write(tmp_path / "m", PLAIN))
    assert (finding.rule, finding.severity) == ("SIG709", "error")
    assert finding.message.startswith(f"the process {told}")
    assert "while TensorFlow was being imported; " in finding.message


def test_child_cannot_write_files(tmp_path: Path) -> None:
    """Nor leave a core file behind: the limits hold for whatever the model's ops do."""
    script = (
        "from signatures.execution.child import _limit; import sys; _limit(60)\n"
        "try:\n    open(sys.argv[1], 'wb', buffering=0).write(b'x'); print('written')\n"
        "except OSError as error:\n    print('refused')\n"
    )
    target = tmp_path / "file"
    command = [sys.executable, "-c", script, str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "refused" and (not target.exists() or target.stat().st_size == 0)


def test_codes_that_need_no_run_start_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved_model_files.write(tmp_path, PLAIN)

    def started(*arguments: Any) -> Any:
        raise AssertionError("a process was started")

    monkeypatch.setattr(execution, "_child", started)
    assert run(folder, codes=frozenset({"SIG101"})) == []
    with pytest.raises(AssertionError, match="was started"):
        run(folder)


def command(*arguments: object) -> Tuple[int, str]:
    """Exit code and standard output."""
    result = CliRunner().invoke(app, ["lint", *map(str, arguments)])
    return result.exit_code, result.stdout


def test_command_runs_the_model_when_asked(tmp_path: Path) -> None:
    folder = models.mask_from_ids(tmp_path / "m")
    static = json.loads(command(folder, "--format", "json")[1])["findings"]
    assert not [each for each in static if each["rule"].startswith("SIG7")]
    code, told = command(folder, "--run", "--format", "json", "--ignore", "SIG705")
    assert code == 0  # warnings: nobody has declared what a list is
    assert [each["rule"] for each in json.loads(told)["findings"] if each["rule"].startswith("SIG7")] == ["SIG702"]


def test_command_does_not_load_what_may_harm(tmp_path: Path) -> None:
    folder = models.writes_a_file(tmp_path / "m")
    code, told = command(folder, "--run", "--format", "json")
    rules = {each["rule"] for each in json.loads(told)["findings"]}
    assert code == 1 and {"SIG204", "SIG710"} <= rules
    assert not (tmp_path / "written.txt").exists()
    code, told = command(folder, "--run", "--ignore", "SIG204,SIG710", "--format", "json")
    assert code == 0 and not (tmp_path / "written.txt").exists()  # ignoring a finding does not make it harmless


@pytest.mark.parametrize(
    ("flags", "told"),
    [(("--allow-unsafe",), "add --run"), (("--select", "SIG1,SIG702"), "--select SIG702")],
    ids=["unsafe", "select"],
)
def test_flags_that_mean_nothing_without_a_run_are_refused(flags: Tuple[str, ...], told: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["lint", str(saved_model_files.write(tmp_path, PLAIN)), *flags])
    assert result.exit_code != 0 and told in str(result.exception)
