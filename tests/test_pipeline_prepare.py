"""From raw rows to the prepared folder: ten events worked by hand, and what happens when it is interrupted."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import pyarrow.parquet as pq
import pytest
import yaml
from rich.console import Console

from pipeline import prepared
from pipeline.preparation import command, prepare, spool
from pipeline.preparation.options import Options, parse
from pipeline.sources.synthetic import Size
from signatures.errors import UsageError

QUIET = Console(quiet=True)

# Two rows of second 105 keep the table's order; one of user b comes late in the table.
EVENTS = """user,item,time,rating,genres
a,10,100,5,Drama|War
b,20,100,4,Drama
a,11,105,3,
a,12,105,2,War
b,21,90,1,Drama
a,13,120,5,Drama
c,10,50,4,Drama|War
c,11,60,3,
a,14,130,5,War
b,22,110,4,Drama
"""

HISTORY = {
    "name": "history",
    "kind": "sequence",
    "side": "user",
    "shares": "item",
    "maximum_length": 2,
    "side_sequences": [{"name": "history_rating"}],
    "times": "history_time",
}
SCHEMA: Dict[str, Any] = {
    "name": "ten_events",
    "features": [
        {"name": "user", "kind": "categorical", "side": "user", "dtype": "string"},
        HISTORY,
        {"name": "item", "kind": "categorical", "side": "item"},
        {"name": "genres", "kind": "bag", "side": "item", "dtype": "string"},
        {"name": "rating", "kind": "numeric", "side": "context", "transform": "standardise"},
    ],
    "labels": [{"name": "click"}, {"name": "next"}],
    "sample_weights": [{"name": "weight"}],
    "tasks": [
        {"name": "click", "label": "click", "sample_weight": "weight"},
        {"name": "next", "kind": "next_item", "label": "next"},
    ],
    "roles": {"user": "user", "item": "item", "time": "time"},
}


def options(folder: Path, text: str = EVENTS, schema: Optional[Dict[str, Any]] = None, **others: Any) -> Options:
    """Options for a CSV table of this text and a schema, both written to the folder."""
    (folder / "events.csv").write_text(text, encoding="utf-8")
    (folder / "schema.yaml").write_text(yaml.safe_dump(schema or SCHEMA), encoding="utf-8")
    return parse({"table": folder / "events.csv", "schema_path": folder / "schema.yaml", **others})


def rows(found: prepared.Prepared, part: prepared.Part) -> List[Dict[str, Any]]:
    return list(pq.read_table(found.part(part)).to_pylist())


def names(folder: Path) -> List[str]:
    """What is in a folder, hidden files included."""
    return sorted(path.name for path in folder.iterdir())


def test_ten_events_by_hand(tmp_path: Path) -> None:
    found = prepare.prepare(None, tmp_path / "out", options(tmp_path), QUIET)
    train = {(row["user"], row["item"]): row for row in rows(found, "train")}
    # a: 10, 11, 12 | 13 | 14; b, by time: 21 | 20 | 22; c has two events, too few to hold any out.
    assert set(train) == {("a", 10), ("a", 11), ("a", 12), ("b", 21), ("c", 10), ("c", 11)}
    assert [(r["user"], r["item"], r["history"]) for r in rows(found, "validation")] == [
        ("a", 13, [11, 12]),
        ("b", 20, [21]),
    ]
    assert [(r["user"], r["item"], r["history"]) for r in rows(found, "test")] == [
        ("a", 14, [12, 13]),
        ("b", 22, [21, 20]),
    ]
    assert {key: row["history"] for key, row in train.items()} == {
        ("a", 10): [],
        ("a", 11): [10],
        ("a", 12): [10, 11],
        ("b", 21): [],
        ("c", 10): [],
        ("c", 11): [10],
    }
    # a's first training row has no past, and neither have b's and c's.
    newer = [("a", -1), ("a", 1), ("a", 0), ("b", -1), ("c", -1), ("c", 0)]
    assert [(user, row["newer_events"]) for (user, _), row in train.items()] == newer
    last = train[("a", 12)]
    assert last == {
        "user": "a",
        "history": [10, 11],
        "history_rating": [5, 3],
        "history_time": [100, 105],
        "item": 12,
        "genres": ["War"],
        "rating": 2.0,
        "click": 1.0,
        "weight": 1.0,
        "event_time": 105,
        "newer_events": 0,
    }


def test_what_is_learned_of_ten_events(tmp_path: Path) -> None:
    found = prepare.prepare(None, tmp_path / "out", options(tmp_path), QUIET)
    # Of the six training rows: items 10 twice, 11 twice, 12, 21; Drama of a10, b21, c10, War of a10, a12, c10.
    assert found.vocabulary("item").read_text().split() == ["10", "11", "12", "21"]
    assert found.vocabulary("genres").read_text().split() == ["Drama", "War"]
    assert found.vocabulary("user").read_text().split() == ["a", "c", "b"]
    # Ratings 5 3 2 1 4 3: mean 3, squared deviations 4 + 0 + 1 + 4 + 1 + 0 = 10.
    rating = found.facts.statistics["rating"]
    assert rating.mean == pytest.approx(3.0)
    assert rating.deviation == pytest.approx(math.sqrt(10 / 6))
    # Cells of the training histories: [5], [5, 3] and [4].
    assert found.vocabulary("history_rating").read_text().split() == ["5", "3", "4"]
    assert found.facts.vocabulary_sizes == {"user": 3, "history_rating": 3, "item": 4, "genres": 2}
    assert found.facts.positives_only and found.facts.dataset == "ten_events"


def test_tables_of_items_and_users(tmp_path: Path) -> None:
    found = prepare.prepare(None, tmp_path / "out", options(tmp_path), QUIET)
    items = pq.read_table(found.items).to_pylist()
    assert {row["item"]: row["train_count"] for row in items} == {
        10: 2, 11: 2, 12: 1, 13: 0, 14: 0, 20: 0, 21: 1, 22: 0
    }  # fmt: skip
    assert {row["item"]: row["genres"] for row in items}[13] == ["Drama"]
    assert {row["title"] for row in items} == {""}
    users = pq.read_table(found.users).to_pylist()
    assert {row["user"]: row["history"] for row in users} == {"a": [13, 14], "b": [20, 22], "c": [10, 11]}
    assert {row["user"]: row["history_time"] for row in users}["b"] == [100, 110]
    assert "rating" not in users[0]


def test_a_split_by_time_by_hand(tmp_path: Path) -> None:
    # Times 50 60 90 100 100 105 105 110 120 130: one tenth for test is 130, two for validation 110 and 120.
    chosen = options(tmp_path, split="time", validation_fraction=0.2, test_fraction=0.1)
    found = prepare.prepare(None, tmp_path / "out", chosen, QUIET)
    assert [(r["item"], r["history"]) for r in rows(found, "test")] == [(14, [12, 13])]
    held_out = {r["item"]: r["history"] for r in rows(found, "validation")}
    assert held_out == {13: [11, 12], 22: [21, 20]}
    # Training now ends with item 12 for a, 20 for b and 11 for c.
    assert {r["item"] for r in rows(found, "train") if r["newer_events"] == 0} == {12, 20, 11}


def test_the_maximum_history_can_be_chosen(tmp_path: Path) -> None:
    found = prepare.prepare(None, tmp_path / "out", options(tmp_path, maximum_history=1), QUIET)
    assert {r["item"]: r["history"] for r in rows(found, "test")} == {14: [13], 22: [20]}
    assert found.schema.feature("history").maximum_length == 1


def test_shards_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = prepare.prepare(None, tmp_path / "one", options(tmp_path), QUIET)
    monkeypatch.setattr(spool, "SHARD_ROWS", 3)
    many = prepare.prepare(None, tmp_path / "many", options(tmp_path), QUIET)
    for part in ("train", "validation", "test"):
        key = [("user", "ascending"), ("event_time", "ascending"), ("item", "ascending")]
        assert pq.read_table(one.part(part)).sort_by(key).equals(pq.read_table(many.part(part)).sort_by(key))
    assert pq.read_table(one.items).equals(pq.read_table(many.items))


def test_again_is_a_no_op_until_something_changes(tmp_path: Path) -> None:
    output = tmp_path / "out"
    first = prepare.prepare(None, output, options(tmp_path), QUIET)
    written = first.items.stat().st_mtime_ns
    console = Console(record=True, width=200)
    again = prepare.prepare(None, output, options(tmp_path), console)
    assert "nothing to do" in console.export_text()
    assert again.facts == first.facts and first.items.stat().st_mtime_ns == written
    changed_rows = prepare.prepare(None, output, options(tmp_path, EVENTS.replace("b,22,110", "b,22,111")), QUIET)
    assert changed_rows.facts.fingerprint != first.facts.fingerprint
    fewer = {**SCHEMA, "features": [f for f in SCHEMA["features"] if f["name"] != "genres"]}
    changed_schema = prepare.prepare(None, output, options(tmp_path, schema=fewer), QUIET)
    assert "genres" not in changed_schema.facts.vocabulary_sizes
    changed_options = prepare.prepare(None, output, options(tmp_path, maximum_history=1), QUIET)
    fingerprints = {f.facts.fingerprint for f in (first, changed_rows, changed_schema, changed_options)}
    assert len(fingerprints) == 4


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    chosen = Options(size=Size(users=30, items=40, events_per_user=10))
    one = prepare.prepare("synthetic", tmp_path / "one", chosen, QUIET)
    two = prepare.prepare("synthetic", tmp_path / "two", chosen, QUIET)
    files = sorted(path.relative_to(one.folder) for path in one.folder.rglob("*") if path.is_file())
    assert len(files) == 15  # schema, facts, items, users, three parts, eight vocabularies
    assert all((one.folder / file).read_bytes() == (two.folder / file).read_bytes() for file in files)


def test_ctrl_c_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    first = prepare.prepare(None, home / "out", options(tmp_path), QUIET)

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "learn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare.prepare(None, home / "out", options(tmp_path, maximum_history=1), QUIET)
    with pytest.raises(KeyboardInterrupt):
        prepare.prepare(None, home / "other", options(tmp_path), QUIET)
    assert names(home) == ["out"]
    assert prepared.load(home / "out").facts == first.facts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_process_that_is_stopped_leaves_no_half_folder(tmp_path: Path, number: signal.Signals) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from pipeline.preparation.options import Options; from pipeline.preparation.prepare import prepare\n"
        "from pipeline.sources.synthetic import Size\n"
        "prepare('synthetic', Path(sys.argv[1]), Options(size=Size(users=100_000)))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "out")], cwd=Path(__file__).parent.parent, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".out.work-*/spool/*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(60) != 0
    finally:
        process.kill()
    left = [] if number == signal.SIGINT else [f".out.work-{process.pid}"]
    assert names(tmp_path) == left
    prepare.prepare("synthetic", tmp_path / "out", Options(size=Size(users=5, items=20)), QUIET)
    assert names(tmp_path) == ["out"]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    # A limit on the size of files is what a process of its own can have instead of a full disk.
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "from pathlib import Path; from rich.console import Console\n"
        "from pipeline.preparation.prepare import prepare; from pipeline.preparation.options import Options\n"
        "from signatures.errors import UsageError\n"
        "try: prepare('synthetic', Path(sys.argv[1]), Options(), Console(quiet=True))\n"
        "except UsageError as error: print(error)"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out")], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "cannot be written" in done.stdout and "choose another" in done.stdout
    assert names(tmp_path) == []


def test_an_output_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("something")
    with pytest.raises(UsageError, match="cannot be written.*choose another"):
        prepare.prepare("synthetic", tmp_path / "file" / "out", Options(), QUIET)
    with pytest.raises(UsageError, match="is no prepared data set; choose another folder or remove it"):
        prepare.prepare("synthetic", tmp_path / "file", Options(), QUIET)
    with pytest.raises(UsageError, match="is no prepared data set; choose another folder or remove it"):
        prepare.prepare("synthetic", tmp_path, Options(), QUIET)
    assert (tmp_path / "file").read_text() == "something"


def test_a_table_and_its_schema_belong_together(tmp_path: Path) -> None:
    chosen = options(tmp_path)
    with pytest.raises(UsageError, match="give both, or neither"):
        prepare.prepare(None, tmp_path / "out", Options(table=chosen.table), QUIET)
    with pytest.raises(UsageError, match="'ml-100k' and table .* exclude each other"):
        prepare.prepare("ml-100k", tmp_path / "out", chosen, QUIET)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"maximum_histroy": 3}, "maximum_histroy is unknown .*correct its spelling"),
        ({"split": "often"}, "split is 'often'"),
        ({"validation_fraction": 0.6, "test_fraction": 0.5}, "leave no row for training; make their sum less than 1"),
        ({"size": {"users": 0}}, "size users is 0"),
    ],
)
def test_wrong_options_are_named(choices: Dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(choices)


def test_a_split_needs_its_columns(tmp_path: Path) -> None:
    schema = {**SCHEMA, "features": [SCHEMA["features"][2]], "roles": {}, "labels": [{"name": "rating"}]}
    schema["tasks"] = [{"name": "rating", "label": "rating"}]
    schema["sample_weights"] = []
    with pytest.raises(UsageError, match="split is time, which needs roles.time"):
        prepare.prepare(None, tmp_path / "out", options(tmp_path, schema=schema, split="time"), QUIET)


def test_the_command_finds_the_folder_and_leaves_out_what_is_not_given(tmp_path: Path) -> None:
    chosen = options(tmp_path)
    flags = {"table": chosen.table, "schema_path": chosen.schema_path, "split": None, "form": {"separator": None}}
    found = command.run(None, flags, None, tmp_path / "data")
    assert found.folder == tmp_path / "data" / "ten_events"
    named = command.run("mine", flags, None, tmp_path / "data")
    assert named.folder == tmp_path / "data" / "mine"


def test_a_history_without_times_in_the_schema_is_still_proven(tmp_path: Path) -> None:
    sequence = {key: value for key, value in HISTORY.items() if key != "times"}
    schema = {**SCHEMA, "features": [SCHEMA["features"][0], sequence, *SCHEMA["features"][2:]]}
    found = prepare.prepare(None, tmp_path / "out", options(tmp_path, schema=schema), QUIET)
    assert {r["item"]: r["history_time"] for r in rows(found, "test")} == {14: [105, 120], 22: [90, 100]}
    assert "history_time" not in {column.name for column in found.schema.columns()}


@pytest.mark.data
def test_movielens_100k(tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNET_DATA_DIR", str(data_dir))
    found = prepare.prepare("ml-100k", tmp_path / "out", Options(), QUIET)
    # 943 users with at least 20 ratings each, of 100,000.
    assert found.facts.rows == {"train": 98_114, "validation": 943, "test": 943}
    assert not found.facts.synthetic and found.facts.positives_only
    items = pq.read_table(found.items).to_pylist()
    assert len(items) == 1_682 and sum(row["train_count"] for row in items) == 98_114
    assert items[0]["title"] == "Toy Story (1995)" and items[0]["release_year"] == 1995
    assert items[0]["genres"] == ["Animation", "Children's", "Comedy"]
    assert 0.55 < sum(row["like"] for row in rows(found, "train")) / 98_114 < 0.56  # 55.4 % of all ratings
