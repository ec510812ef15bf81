"""The two commands as a shell sees them: output, exit code, and how fast."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Tuple

import pytest
from typer.testing import CliRunner

from signatures import manifest
from signatures.__main__ import app, main
from signatures.manifest import Data, Manifest, Suppression
from tests.saved_model_files import write

ROOT = Path(__file__).resolve().parent.parent
CLEAN = "input price float32[?]\noutput score float32[?] = price\n"
MASKED = "input price float32[?]\ninput gate float32[?]\noutput score float32[?]\nscore = Mul price gate\n"


def run(*arguments: object) -> Tuple[int, str]:
    """Exit code and standard output of a command that does not fail."""
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout


def test_clean_model_exits_with_0(tmp_path: Path) -> None:
    code, text = run("lint", write(tmp_path, CLEAN))
    assert (code, text) == (0, f"{tmp_path}: nothing found\n")


def test_warnings_alone_exit_with_0(tmp_path: Path) -> None:
    code, text = run("lint", write(tmp_path, CLEAN.replace("float32", "float64")))
    assert code == 0
    assert text.endswith(": 2 warnings\n")


def test_flags_declare_and_errors_exit_with_1(tmp_path: Path) -> None:
    write(tmp_path, MASKED)
    assert run("lint", tmp_path)[0] == 0  # no name and no declaration gives the gate away
    assert run("lint", tmp_path, "--feature", "price", "--feature", "gate")[0] == 0
    code, text = run("lint", tmp_path, "--training-only", "gate")
    assert code == 1
    assert text.splitlines()[0].startswith("error   SIG101 serving_default/gate: input 'gate' changes output 'score'")
    code, text = run("lint", tmp_path, "--feature", "price")
    assert code == 1 and "SIG102" in text


def test_json_has_the_agreed_form(tmp_path: Path) -> None:
    write(tmp_path / "7", MASKED)
    code, text = run("lint", tmp_path, "--format", "json", "--training-only", "gate")
    told = json.loads(text)
    assert code == 1
    assert told["path"] == str(tmp_path / "7")
    (finding,) = told["findings"]
    message = finding.pop("message")
    assert finding == {"rule": "SIG101", "severity": "error", "signature": "serving_default", "tensor": "gate"}
    assert "'gate'" in message


def test_diff_tells_whether_clients_break(tmp_path: Path) -> None:
    old, new = write(tmp_path / "old", CLEAN), write(tmp_path / "new", MASKED)
    code, text = run("diff", old, new, "--format", "json")
    assert code == 1
    assert [(each["rule"], each["tensor"]) for each in json.loads(text)["findings"]] == [("SIG504", "gate")]
    assert run("diff", old, old)[0] == 0


def test_manifest_is_the_declaration(tmp_path: Path) -> None:
    write_manifest(write(tmp_path, MASKED))
    code, text = run("lint", tmp_path)
    assert code == 1 and "SIG101 serving_default/gate" in text and "SIG102 serving_default/price" in text


def test_manifest_may_allow_a_finding(tmp_path: Path) -> None:
    write_manifest(write(tmp_path, MASKED), "SIG101", "SIG102")
    assert run("lint", tmp_path)[0] == 0


def write_manifest(export: Path, *allowed: str) -> None:
    """A manifest that knows no feature and calls `gate` training's."""
    content = Manifest(
        model="m",
        version=1,
        created="",
        schema_hash="",
        features=(),
        training_only=("gate",),
        signatures={},
        server_image="",
        metrics={},
        data=Data(name="", fingerprint="", synthetic=True),
        code_commit="",
        suppressions=tuple(Suppression(code=code, reason="a test") for code in allowed),
    )
    manifest.write(content, export)


def fails_with_2(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    """The one line on standard error of a command that cannot do its work."""
    monkeypatch.setattr(sys, "argv", ["signatures", *map(str, arguments)])
    assert main() == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1 and told.err.startswith("error: ")
    return told.err


@pytest.mark.parametrize("command", [("lint",), ("diff", "."), ("lint", "--format", "json")])
def test_unusable_input_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: Tuple[str, ...]
) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"not a proto")
    told = fails_with_2(capsys, monkeypatch, *[tmp_path if each == "." else each for each in command], tmp_path)
    assert "is no SavedModel, is cut short" in told


def test_broken_manifest_and_unknown_code_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_manifest(write(tmp_path, MASKED), "SIG999")
    assert "suppresses 'SIG999', which is no rule" in fails_with_2(capsys, monkeypatch, "lint", tmp_path)
    (tmp_path / manifest.PATH_IN_EXPORT).write_text("{}", encoding="utf-8")
    assert "cannot be read" in fails_with_2(capsys, monkeypatch, "lint", tmp_path)


@pytest.mark.parametrize(
    "arguments", [("lint",), ("lint", "a", "--format", "xml"), ("explain",), ("lint", "a", "--no")]
)
def test_wrong_usage_exits_with_2(arguments: Tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, list(arguments)).exit_code == 2


def test_command_in_a_shell_is_quick(tmp_path: Path) -> None:
    """The module runs as documented, without TensorFlow. 0.25 s of processor time on a plain machine; 1.5 s is slack
    for a loaded one, and a tenth of what importing TensorFlow costs there."""
    write(tmp_path, MASKED)
    command = [sys.executable, "-m", "signatures", "lint", str(tmp_path), "--training-only", "gate"]
    best, done = 1e9, None
    for _ in range(3):
        started = _children_seconds()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        best = min(best, _children_seconds() - started)
    assert done is not None and done.returncode == 1 and "SIG101" in done.stdout, done
    assert best < 1.5


def _children_seconds() -> float:
    """Processor time of finished child processes."""
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
