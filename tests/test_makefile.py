"""The Makefile: what each target runs, how `make setup` finds a Python, and what it says when there is none.

Every test works on a copy of the build files in a folder of its own, with stand-ins for Python: nothing is installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Dict, List, Tuple

import pytest
import typer

ROOT = Path(__file__).resolve().parent.parent
TARGETS = ["help", "setup", "demo", "prepare", "train", "evaluate", "export", "lint", "serve", "predict"]
TARGETS += ["test", "check", "bench", "bench-peers", "clean"]
VARIABLES = ("MODEL", "DATASET", "VERSION", "PORT", "ARGS", "PYTHON", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")

# Answers as Python does to what the Makefile asks of it; its .venv notes what it is told to install.
STAND_IN = """#!/bin/sh
case "$1 $2" in
  "-c ") exit 0 ;;
  "-c import"*) echo {version} ;;
  "--version ") echo "Python {version}.1" ;;
  "-m venv") {venv} ;;
  "-m "*) echo "$@" >> installed.txt ;;
esac
"""
MAKES_VENV = 'mkdir -p .venv/bin .venv/lib && cp "$0" .venv/bin/python'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the files that `make` reads."""
    for name in ("Makefile", "setup.cfg", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    peers = Path("tests/benchmarks/peers/requirements.txt")
    (tmp_path / peers).parent.mkdir(parents=True)
    shutil.copy(ROOT / peers, tmp_path / peers)
    return tmp_path


def make(project: Path, *arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    """Runs make in the project, without the variables of a make that may run this test; path goes before PATH."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    if path:
        environment["PATH"] = path + os.pathsep + environment["PATH"]
    command = ["make", *arguments]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=60)


def stand_in(folder: Path, name: str, version: str, venv: str = MAKES_VENV) -> str:
    """Writes a program that passes for a Python of this version."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(STAND_IN.format(version=version, venv=venv), encoding="utf-8")
    program.chmod(0o755)
    return str(program)


def test_help_lists_every_target(project: Path) -> None:
    lines = make(project).stdout.splitlines()
    assert [line.split()[1] for line in lines] == TARGETS
    assert all(len(line.split()) > 3 for line in lines), "each with what it does"


def test_help_needs_no_python(project: Path) -> None:
    make(project, "help")
    assert not (project / ".venv").exists()


ALL = {"MODEL": "din", "DATASET": "ml-100k", "VERSION": "3", "PORT": "8501", "ARGS": "--more 1"}


@pytest.mark.parametrize(
    ("target", "variables", "command"),
    [
        ("demo", ALL, "signet demo --dataset ml-100k --more 1"),
        ("prepare", ALL, "signet prepare --dataset ml-100k --more 1"),
        ("train", {"MODEL": "din", "DATASET": "ml-100k"}, "signet train --model din --dataset ml-100k"),
        ("train", {"MODEL": "din"}, "signet train --model din"),
        ("train", {}, "signet train"),
        ("evaluate", ALL, "signet evaluate --model din --dataset ml-100k --more 1"),
        ("export", ALL, "signet export --model din --dataset ml-100k --more 1"),
        ("lint", {}, "signet lint exports"),
        ("lint", {"MODEL": "din"}, "signet lint exports/din"),
        ("lint", ALL, "signet lint exports/din/3 --more 1"),
        ("serve", ALL, "signet serve --model din --port 8501 --more 1"),
        ("predict", ALL, "signet predict din --version 3 --port 8501 --more 1"),
        ("bench", {"ARGS": "--rounds 5"}, "signet bench --rounds 5"),
        ("bench-peers", {"ARGS": "--only lint"}, "python -m tests.benchmarks.peers --only lint"),
        ("test", {}, "python -m pytest"),
        ("test", {"ARGS": "-k encode"}, "python -m pytest -k encode"),
        ("check", {}, "ruff check ."),
        ("check", {}, "mypy"),
        ("check", {}, "python -m pytest"),
    ],
)
def test_target_runs_its_command(project: Path, target: str, variables: Dict[str, str], command: str) -> None:
    run = make(project, "-n", target, *(f"{name}={value}" for name, value in variables.items()))
    assert run.returncode == 0, run.stderr
    assert f".venv/bin/{command}" in run.stdout.splitlines()


def test_console_knows_what_the_makefile_says(project: Path) -> None:
    from pipeline.console import app

    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    targets = [each for each in TARGETS if each not in ("help", "setup", "test", "check", "bench-peers", "clean")]
    variables = [f"{name}={value}" for name, value in ALL.items() if name != "ARGS"]
    for target in targets:
        said = make(project, "-n", target, *variables).stdout
        (words,) = set(re.findall(r"\.venv/bin/signet (\w+)(.*)", said))
        assert words[0] in verbs, f"make {target}: signet has no {words[0]}"
        known = {option for parameter in verbs[words[0]].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", words[1])) <= known, f"make {target}: {words[1]}"


@pytest.mark.parametrize("target", [each for each in TARGETS if each not in ("help", "clean")])
def test_target_installs_first(project: Path, target: str) -> None:
    lines = make(project, "-n", target).stdout.splitlines()
    installs = next(place for place, line in enumerate(lines) if line.endswith("-r requirements.lock"))
    assert installs < len(lines) - 1


def test_setup_takes_the_newest_python_that_works(project: Path) -> None:
    folder = project / "bin"
    shim = folder / "python3.12"
    folder.mkdir()
    shim.write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")  # what a version manager leaves behind
    shim.chmod(0o755)
    stand_in(folder, "python3.11", "3.11", venv="exit 1")  # a system Python without its venv package
    stand_in(folder, "python3.10", "3.10")
    stand_in(folder, "python3.9", "3.9")
    run = make(project, "setup", path=str(folder))
    assert run.returncode == 0, run.stderr
    assert "using python3.10" in run.stdout
    asked = (project / "installed.txt").read_text(encoding="utf-8")
    assert re.findall(r"-r (\S+)|-e (\S+)", asked) == [("requirements.lock", ""), ("", ".")]


def test_setup_runs_once_until_the_lock_changes(project: Path) -> None:
    python = stand_in(project / "bin", "python", "3.11")
    installed = project / "installed.txt"

    def installs() -> int:
        assert make(project, "setup", f"PYTHON={python}").returncode == 0
        return installed.read_text(encoding="utf-8").count("requirements.lock")

    assert [installs(), installs()] == [1, 1]
    future = (project / ".venv/.installed").stat().st_mtime + 10
    os.utime(project / "requirements.lock", (future, future))
    assert installs() == 2


def test_setup_keeps_nothing_of_a_failed_install(project: Path) -> None:
    python = stand_in(project / "bin", "python", "3.11", venv=f"{MAKES_VENV} && echo 'exit 1' > .venv/bin/python")
    assert make(project, "setup", f"PYTHON={python}").returncode == 2
    assert not (project / ".venv/.installed").exists()


def unusable(project: Path) -> List[Tuple[str, str]]:
    """Pythons that will not do, each with what the message must say of it."""
    folder = project / "bin"
    return [
        (str(folder / "nothing"), "not found"),
        (stand_in(folder, "new", "3.13"), "is Python 3.13.1"),
        (stand_in(folder, "old", "3.8"), "is Python 3.8.1"),
        (stand_in(folder, "bare", "3.11", venv="exit 1"), "cannot make a virtual environment"),
    ]


def test_setup_says_which_pythons_it_tried(project: Path) -> None:
    for python, reason in unusable(project):
        run = make(project, "setup", f"PYTHON={python}")
        assert run.returncode == 2
        assert "Signet needs Python 3.9, 3.10, 3.11 or 3.12 with venv" in run.stderr
        assert f"{python}: {reason}" in run.stderr
        assert "make setup PYTHON=" in run.stderr
        assert not (project / ".venv").exists()


def test_clean_keeps_what_took_work(project: Path) -> None:
    kept = [".venv/bin/python", "data/rows.parquet", "runs/din/checkpoint", "exports/din/1/saved_model.pb"]
    gone = ["build/lib/a.py", "signet_recommenders.egg-info/PKG-INFO", "pipeline/__pycache__/a.pyc", ".mypy_cache/a"]
    for name in kept + gone + ["serving/a", "signatures/a", "tests/a"]:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).touch()
    run = make(project, "clean")
    assert run.returncode == 0, run.stderr
    assert [name for name in kept + gone if (project / name).exists()] == kept


def test_makefile_needs_no_installer_beyond_pip() -> None:
    assert not re.search(r"\b(uv|conda|poetry|pipenv)\b", (ROOT / "Makefile").read_text(encoding="utf-8"))
