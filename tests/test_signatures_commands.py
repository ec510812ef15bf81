"""The two commands as a shell sees them: output, exit code, and how fast."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import List, Set, Tuple

import pytest
from typer.testing import CliRunner

from signatures import cards, manifest, printing
from signatures.__main__ import app, main
from signatures.lint import Result
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
    assert code == 0
    assert text.startswith(f"{tmp_path}: nothing found; no list of features, so a mask is known by its name only")
    assert run("lint", tmp_path, "--feature", "price") == (0, f"{tmp_path}: nothing found\n")


def test_warnings_alone_exit_with_0(tmp_path: Path) -> None:
    code, text = run("lint", write(tmp_path, CLEAN.replace("float32", "float64")))
    assert code == 0
    assert ": 2 warnings; no list of features" in text


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
    write_manifest(write(tmp_path, MASKED), "SIG101", "SIG102", "SIG601")
    assert run("lint", tmp_path)[0] == 0


def test_declaration_file_says_what_flags_say(tmp_path: Path) -> None:
    write(tmp_path / "model", MASKED)
    file = tmp_path / "declaration.yaml"
    file.write_text("features: [price]\n", encoding="utf-8")
    code, text = run("lint", tmp_path / "model", "--declaration", file)
    assert code == 1 and "SIG102 serving_default/gate" in text
    assert run("lint", tmp_path / "model", "--declaration", file, "--feature", "gate")[0] == 0, "together, not instead"
    file.write_text("features: [price]\nsuppressions: [{code: SIG102, reason: a test}]\n", encoding="utf-8")
    code, text = run("lint", tmp_path / "model", "--declaration", file)
    assert (code, text) == (0, f"{tmp_path / 'model'}: nothing found, SIG102 allowed (a test)\n")


def test_codes_are_selected_and_ignored(tmp_path: Path) -> None:
    write(tmp_path, MASKED.replace("float32", "float64"))
    told = ("lint", tmp_path, "--format", "json", "--training-only", "gate")

    def found(*flags: str) -> Tuple[int, Set[str]]:
        code, text = run(*told, *flags)
        return code, {each["rule"] for each in json.loads(text)["findings"]}

    assert found() == (1, {"SIG101", "SIG108"})
    assert found("--select", "SIG108") == (0, {"SIG108"})
    assert found("--ignore", "SIG101") == (0, {"SIG108"})
    assert found("--select", "SIG1,SIG2", "--ignore", "SIG108") == (1, {"SIG101"})
    assert found("--select", "SIG2") == (0, set())


def test_folder_of_models_is_linted_at_once(tmp_path: Path) -> None:
    write(tmp_path / "din" / "1", MASKED)
    write(tmp_path / "deepfm" / "4", CLEAN)
    code, text = run("lint", tmp_path, "--training-only", "gate")
    assert code == 1
    assert [line.partition(": ")[0] for line in text.splitlines()] == [
        str(tmp_path / "deepfm" / "4"),
        "error   SIG101 serving_default/gate",
        str(tmp_path / "din" / "1"),
        "2 models",
    ]
    told = json.loads(run("lint", tmp_path, "--format", "json")[1])
    assert [Path(each["path"]).parent.name for each in told["models"]] == ["deepfm", "din"]


def test_model_that_cannot_be_read_keeps_no_other_from_being_linted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2 outweighs 1, and both are told."""
    write(tmp_path / "din" / "1", MASKED)
    for name in ("broken", "worse"):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "1" / "saved_model.pb").write_bytes(b"not a proto")
    page = tmp_path / "lint.html"
    flags = ("--training-only", "gate", "--report", str(page))
    monkeypatch.setattr(sys, "argv", ["signatures", "lint", str(tmp_path), *flags])
    assert main() == 2
    told = capsys.readouterr()
    assert "SIG101" in told.out and f"{tmp_path / 'broken'}: not examined" in told.out
    assert told.err.count("\n") == 1 and told.err.count("is no SavedModel") == 2
    html = page.read_text(encoding="utf-8")
    assert html.count("not examined") == 2 and html.count("<svg") == 1


def test_report_is_written_and_the_findings_printed_all_the_same(tmp_path: Path) -> None:
    page = tmp_path / "lint.html"
    code, text = run("lint", write(tmp_path / "m", MASKED), "--training-only", "gate", "--report", page)
    assert code == 1 and "SIG101" in text
    assert "not pure" in page.read_text(encoding="utf-8")


def test_formats_for_machines(tmp_path: Path) -> None:
    write(tmp_path, MASKED)
    code, text = run("lint", tmp_path, "--training-only", "gate", "--format", "sarif")
    (told,) = json.loads(text)["runs"]
    assert code == 1 and [each["ruleId"] for each in told["results"]] == ["SIG101"]
    code, text = run("lint", tmp_path, "--training-only", "gate", "--format", "github")
    assert code == 1 and text.startswith("::error file=") and ",title=SIG101 training_only_input::" in text
    code, text = run("diff", write(tmp_path / "old", CLEAN), write(tmp_path / "new", MASKED), "--format", "github")
    assert code == 1 and "SIG504 added_input" in text


def test_rules_are_explained_and_listed_without_a_model() -> None:
    code, text = run("lint", "--explain", "SIG504")
    assert code == 0 and text.startswith("SIG504 added_input (error)")
    code, text = run("lint", "--list-rules")
    listed = [line.split()[0] for line in text.splitlines()]
    assert code == 0 and listed == sorted(cards.codes())
    told = json.loads(run("lint", "--list-rules", "--format", "json")[1])
    assert told[0]["code"] == "SIG101" and told[0]["severity"] == "error"


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--select", "SIG999"), "'SIG999' is no rule"),
        (("--ignore", "sig101"), "did you mean SIG101?"),
        (("--explain", "SIG1O1"), "'SIG1O1' is no rule"),
        (("--declaration", "gone.yaml"), "declaration gone.yaml cannot be read"),
        (("--report", "/dev/null/lint.html"), "/dev/null/lint.html cannot be written"),
    ],
)
def test_wrong_flags_are_one_line_and_exit_code_2(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flags: Tuple[str, ...],
    told: str,
) -> None:
    assert told in fails_with_2(capsys, monkeypatch, "lint", write(tmp_path, CLEAN), *flags)


def test_terminal_gets_colours_and_a_pipe_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless NO_COLOR asks for none, or the terminal's encoding has no such marks."""
    results = [Result(tmp_path)]
    for variable in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(variable, raising=False)
    assert "\x1b[" in shown(results, monkeypatch, "utf-8", terminal=True)
    assert shown(results, monkeypatch, "utf-8", terminal=False) == f"{tmp_path}: nothing found\n"
    assert "\x1b[" not in shown(results, monkeypatch, "ascii", terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in shown(results, monkeypatch, "utf-8", terminal=True)


def test_name_that_the_encoding_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    results = [Result(Path("modèle→"))]
    assert shown(results, monkeypatch, "latin-1", terminal=False) == "modèle\\u2192: nothing found\n"


def shown(results: List[Result], monkeypatch: pytest.MonkeyPatch, encoding: str, terminal: bool) -> str:
    """What is written on a standard output of this kind."""
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding=encoding)
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stdout", stream)
    printing.show(results, printing.Format.text, many=False)
    stream.flush()
    return written.getvalue().decode(encoding)


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
