"""What a user meets: bad input gets one clear sentence and exit code 2, no traceback, and nothing half-written."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import List, Tuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline import entry
from pipeline.prepared import Prepared

SCHEMA = {
    "name": "clicks",
    "features": [
        {"name": "user", "side": "user", "kind": "categorical", "dtype": "string"},
        {"name": "item", "side": "item", "kind": "categorical"},
        {"name": "price", "side": "item", "kind": "numeric"},
    ],
    "labels": [{"name": "click"}],
    "tasks": [{"name": "click", "label": "click"}],
}
ROWS = "user,item,price,click\n" + "".join(f"u{i % 7},{i % 5},{i}.5,{i % 2}\n" for i in range(60))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with a good table and its schema."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "schema.yaml").write_text(yaml.safe_dump(SCHEMA))
    (tmp_path / "rows.csv").write_text(ROWS)
    return tmp_path


def signet(*arguments: str) -> int:
    """Runs the command in this process; its exit code."""
    before = sys.argv
    sys.argv = ["signet", *arguments]
    try:
        entry.main()
        return 0
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before


def refuses(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    """The sentence that a bad call gets."""
    capsys.readouterr()
    code = signet(*arguments)
    said = capsys.readouterr()
    assert code == 2, said
    lines = [line for line in said.err.splitlines() if line.startswith("signet: ")]
    assert len(lines) == 1 and "Traceback" not in said.err + said.out, said.err
    return lines[0]


def prepare(capsys: pytest.CaptureFixture, place: Path) -> str:
    said = refuses(capsys, "prepare", "--table", "rows.csv", "--schema", "schema.yaml")
    assert not (place / "data").exists() or not list((place / "data").iterdir())
    assert not list(place.rglob(".*work*"))
    return said


def test_a_good_table_is_prepared_trained_and_evaluated(place: Path, capsys: pytest.CaptureFixture) -> None:
    assert signet("prepare", "--table", "rows.csv", "--schema", "schema.yaml", "--split", "random") == 0
    quick = ("--set", "training.epochs=1", "--set", "data.batch_size=16")
    assert signet("train", "--model", "deepfm", "--dataset", "clicks", *quick) == 0
    assert signet("evaluate", "--model", "deepfm", "--dataset", "clicks") == 0
    assert "deepfm" in capsys.readouterr().out
    assert json.loads((place / "runs" / "clicks" / "deepfm" / "evaluation_test.json").read_text())["answers"]


def test_a_missing_column(place: Path, capsys: pytest.CaptureFixture) -> None:
    (place / "rows.csv").write_text(ROWS.replace("price", "prize"))
    assert "price" in prepare(capsys, place)


def test_a_cell_of_the_wrong_type(place: Path, capsys: pytest.CaptureFixture) -> None:
    (place / "rows.csv").write_text(ROWS + "u1,2,cheap,1\n")
    said = prepare(capsys, place)
    assert "price" in said and "cheap" in said


def test_an_empty_file(place: Path, capsys: pytest.CaptureFixture) -> None:
    (place / "rows.csv").write_text("")
    assert "rows.csv" in prepare(capsys, place)


def test_a_label_of_one_class(place: Path, capsys: pytest.CaptureFixture) -> None:
    lines = ROWS.splitlines()
    (place / "rows.csv").write_text("\n".join([lines[0], *(line[:-1] + "1" for line in lines[1:])]) + "\n")
    assert "click" in prepare(capsys, place)


def test_a_label_that_is_nan(place: Path, capsys: pytest.CaptureFixture) -> None:
    (place / "rows.csv").write_text(ROWS + "u1,2,3.5,nan\n")
    assert "click" in prepare(capsys, place)


def test_an_unknown_key_of_the_schema(place: Path, capsys: pytest.CaptureFixture) -> None:
    (place / "schema.yaml").write_text(yaml.safe_dump({**SCHEMA, "colums": []}))
    said = prepare(capsys, place)
    assert "colums" in said and "schema.yaml" in said


def test_truncated_parquet(place: Path, capsys: pytest.CaptureFixture) -> None:
    pq.write_table(pa.table({"user": ["a"], "item": [1], "price": [1.0], "click": [1.0]}), place / "rows.parquet")
    content = (place / "rows.parquet").read_bytes()
    (place / "rows.parquet").write_bytes(content[: len(content) // 2])
    said = refuses(capsys, "prepare", "--table", "rows.parquet", "--schema", "schema.yaml")
    assert "rows.parquet" in said and not (place / "data").exists()


def test_truncated_prepared_parquet(place: Path, capsys: pytest.CaptureFixture, tiny_prepared: Prepared) -> None:
    shutil.copytree(tiny_prepared.folder, place / "data" / "broken")
    part = next((place / "data" / "broken" / "train").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:1000])
    assert "prepare" in refuses(capsys, "train", "--model", "deepfm", "--dataset", "broken")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "--model", "deepfn"), ("deepfn", "deepfm")),
        (("train", "--model", "deepfm", "--dataset", "ml-9k"), ("ml-9k", "ml-100k")),
        (("prepare", "--dataset", "ml-9k"), ("ml-9k", "ml-100k")),
        (("train", "--set", "training.epoch=3"), ("epoch", "unknown")),
        (("train", "--set", "training.epochs=0"), ("epochs", "0")),
        (("train", "--set", "parameters.embeding_width=8"), ("embeding_width", "embedding_width")),
        (("train", "--set", "data.batch_size=many"), ("batch_size", "many")),
        (("train", "--set", "nonsense"), ("nonsense", "key.key=value")),
        (("train", "--set", "tasks=[buy]", "--dataset", "TINY"), ("buy", "click")),
        (("train", "--set", "tasks=[next_item]", "--model", "deepfm", "--dataset", "TINY"), ("next_item", "deepfm")),
        (("train", "--set", "features=[user_id, colour]", "--dataset", "TINY"), ("colour", "user_id")),
        (("train", "--config", "absent.yaml"), ("absent.yaml",)),
        (("evaluate", "--model", "din", "--dataset", "TINY"), ("signet train",)),
        (("evaluate", "--negatives", "0", "--dataset", "TINY"), ("negatives", "0")),
        (("evaluate", "--part", "tset", "--dataset", "TINY"), ("tset", "validation")),
        (("export", "--model", "din", "--dataset", "TINY"), ("signet train",)),
        (("serve",), ("exports", "signet export")),
        (("lint", "absent"), ("absent",)),
        (("recommend", "--user", "nobody", "--dataset", "TINY"), ("nobody",)),
        (("recommend", "--user", "1", "--dataset", "TINY", "--transport", "pigeon"), ("pigeon", "grpc")),
    ],
)
def test_what_does_not_exist_is_named_with_the_remedy(
    arguments: Tuple[str, ...],
    words: Tuple[str, ...],
    place: Path,
    capsys: pytest.CaptureFixture,
    tiny_prepared: Prepared,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SIGNET_DATA_DIR", raising=False)
    given = [str(tiny_prepared.folder) if word == "TINY" else word for word in arguments]
    said = refuses(capsys, *given)
    assert [word for word in words if word not in said] == [], said


def test_an_unknown_key_of_a_configuration_file(place: Path, capsys: pytest.CaptureFixture) -> None:
    (place / "mine.yaml").write_text("model: din\ntasks: [click]\ntraning: {epochs: 3}\n")
    said = refuses(capsys, "train", "--model", "din", "--config", "mine.yaml")
    assert "mine.yaml" in said and "traning" in said


def test_a_port_that_is_taken(place: Path, tiny_export: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "serving.embedded", f"--port={port}", f"--model_base_path={tiny_export}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert str(port) in done.stderr and "Traceback" not in done.stderr


@pytest.fixture
def tiny_export(model_folder: Path) -> Path:
    return model_folder / "sum"


def test_help_lists_every_verb(capsys: pytest.CaptureFixture) -> None:
    assert signet("--help") == 0
    shown = capsys.readouterr().out
    verbs: List[str] = [
        "prepare",
        "train",
        "evaluate",
        "compare",
        "export",
        "lint",
        "diff",
        "serve",
        "predict",
        "status",
        "load",
        "recommend",
        "demo",
        "bench",
        "experiment",
    ]
    assert [verb for verb in verbs if f" {verb} " not in shown] == []


@pytest.mark.parametrize("verb", ["lint", "diff"])
def test_the_linter_waits_for_no_other_verb(verb: str) -> None:
    """Nothing of the server's clients, and no numbers: most of its time would be theirs."""
    code = f"""
import sys
from pipeline import entry
sys.argv = ["signet", "{verb}", "--help"]
try:
    entry.main()
except SystemExit as end:
    loaded = [name for name in ("tensorflow", "numpy", "grpc", "httpx", "serving") if name in sys.modules]
    sys.exit(f"{{end.code}} {{loaded}}" if end.code or loaded else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0 and f"signet {verb}" in done.stdout, done.stderr


def test_the_console_starts_without_tensorflow() -> None:
    code = "import sys, pipeline.console; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
