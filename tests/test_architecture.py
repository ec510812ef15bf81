"""The rules that hold between files: who may import whom, what starts without TensorFlow, what a file may be called.

Each check is a function of a folder, so that its test can plant the fault in a small tree and see it found.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Iterator, List, Pattern, Set, Tuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("pipeline", "serving", "signatures")

# Who may import whom: the first pattern that fits a file's path decides.
MAY_IMPORT: Tuple[Tuple[Pattern[str], Set[str]], ...] = (
    (re.compile(r"pipeline/(console|demo|recommend|bench\w*)\.py|pipeline/bench\w*/.*"), {"signatures", "serving"}),
    (re.compile(r"pipeline/.*"), {"signatures"}),
    (re.compile(r"serving/.*"), {"signatures"}),
    (re.compile(r"signatures/.*"), set()),
)

# What must answer at once, so without TensorFlow. A name that ends in / stands for all modules of the folder.
LIGHT = re.compile(
    r"signatures/(__init__|errors|manifest|lint\w*|diff\w*|reader|ops|protos|saved_model)\.py"
    r"|signatures/(lint|rules|diff)/.*|pipeline/(console|entry)\.py"
    r"|serving/((commands|connecting|exports|requests|records|prediction_logs|logged)\.py|(client|load)/.*)"
    r"|serving/(releases|canary|tune)/.*"
)

FORBIDDEN_NAMES = {"utils.py", "util.py", "helpers.py", "helper.py", "base.py", "common.py", "misc.py"}
# Written so that this line does not hold one itself.
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:home|root|work|Users)/\w")
SKIPPED_FOLDERS = {"data", "runs", "exports", "reports", "build", "dist", "__pycache__"}


def modules(root: Path) -> List[Path]:
    """The Python files of the three packages below root."""
    return sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Full names of what a file imports, at its top or inside a function, by statement or by import_module("name")."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            constants = (word.value for word in ast.walk(node) if isinstance(word, ast.Constant))
            yield from (value for value in constants if isinstance(value, str))


def wrong_arrows(root: Path) -> List[Tuple[str, str]]:
    """Each (file, import) that crosses packages against the arrows of the architecture."""
    found = []
    for path in modules(root):
        name = path.relative_to(root).as_posix()
        allowed = next(packages for pattern, packages in MAY_IMPORT if pattern.fullmatch(name))
        for target in imported(path):
            package = target.split(".")[0]
            if package in PACKAGES and package not in allowed | {name.split("/")[0]}:
                found.append((name, target))
    return found


def heavy_modules(root: Path, names: List[str]) -> List[str]:
    """The first of the modules whose import loads TensorFlow or Keras, with what it loads; empty when none does."""
    script = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    heavy = sorted({'tensorflow', 'tf_keras', 'keras'} & set(sys.modules))\n"
        "    if heavy:\n"
        "        sys.exit(f'HEAVY {name}: {heavy}')\n"
    )
    run = subprocess.run([sys.executable, "-c", script, *names], cwd=root, capture_output=True, text=True, timeout=120)
    if run.returncode and "HEAVY" not in run.stderr:
        pytest.fail(run.stderr[-2000:])
    return [line for line in run.stderr.splitlines() if line.startswith("HEAVY")]


def light_modules(root: Path) -> List[str]:
    """Names of the modules that must not load TensorFlow."""
    paths = [path.relative_to(root).as_posix() for path in modules(root)]
    return [path[:-3].replace("/", ".").replace(".__init__", "") for path in paths if LIGHT.fullmatch(path)]


def text_files(root: Path) -> Iterator[Path]:
    """The project's own text files; not what it makes or downloads."""
    for folder, folders, names in os.walk(root):
        hidden = {each for each in folders if each.startswith(".") and each != ".ci"}
        folders[:] = sorted(set(folders) - hidden - SKIPPED_FOLDERS - {each for each in folders if "egg-info" in each})
        for path in (Path(folder, name) for name in names):
            if b"\0" not in path.read_bytes()[:4096]:
                yield path


def machine_paths(root: Path) -> List[str]:
    """Each file:line that holds a path of somebody's machine."""
    return [
        f"{path.relative_to(root).as_posix()}:{number}"
        for path in text_files(root)
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]


def test_imports_follow_the_arrows() -> None:
    assert len(modules(ROOT)) > 10
    assert wrong_arrows(ROOT) == []


@pytest.mark.parametrize(
    ("name", "source", "found"),
    [
        ("signatures/rule.py", "import pipeline.train", True),
        ("signatures/rule.py", "def check():\n    from serving.client import Client", True),
        ("serving/client.py", "from pipeline import schema", True),
        ("serving/client.py", "import importlib\nimportlib.import_module('pipeline.schema')", True),
        ("pipeline/train.py", "import serving", True),
        ("pipeline/console.py", "from serving import client", False),
        ("pipeline/benchmark.py", "import serving.client", False),
        ("pipeline/train.py", "from pipeline import rows\nimport signatures.manifest", False),
    ],
)
def test_arrow_against_the_architecture_is_found(tmp_path: Path, name: str, source: str, found: bool) -> None:
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(source, encoding="utf-8")
    assert [file for file, _ in wrong_arrows(tmp_path)] == [name] * found


def test_light_modules_start_without_tensorflow() -> None:
    names = light_modules(ROOT)
    assert "signatures.manifest" in names
    assert heavy_modules(ROOT, names) == []


def test_heavy_import_is_found(tmp_path: Path) -> None:
    sources = {"tensorflow.py": "", "signatures/__init__.py": "", "signatures/lint.py": "import tensorflow"}
    for name, source in sources.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source, encoding="utf-8")
    assert light_modules(tmp_path) == ["signatures", "signatures.lint"]
    assert len(heavy_modules(tmp_path, light_modules(tmp_path))) == 1


@pytest.mark.parametrize("package", PACKAGES)
def test_package_has_a_readme(package: str) -> None:
    assert (ROOT / package / "README.md").is_file()


def test_no_file_is_named_for_what_is_left_over() -> None:
    assert [path for path in text_files(ROOT) if path.name in FORBIDDEN_NAMES] == []


def test_no_path_of_a_machine() -> None:
    assert machine_paths(ROOT) == []


def test_path_of_a_machine_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("data: ml-100k\nfolder: /{}/me/data\n".format("home"), encoding="utf-8")
    (tmp_path / "b.py").write_text("url = 'https://example.org/home/page'\n", encoding="utf-8")
    assert machine_paths(tmp_path) == ["a.yaml:2"]
