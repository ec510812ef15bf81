"""One's own labelled tables, prepared: rows stay as they are, and what cannot be learned from is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipeline import prepared, rows
from pipeline.preparation import prepare
from pipeline.preparation.options import Options, parse
from signatures.errors import UsageError

QUIET = Console(quiet=True)

CONTENT: Dict[str, Any] = {
    "name": "shop",
    "features": [
        {"name": "user", "kind": "categorical", "side": "user"},
        {"name": "city", "kind": "categorical", "side": "user", "dtype": "string"},
        {"name": "seen", "kind": "sequence", "side": "user", "shares": "item"},
        {"name": "item", "kind": "categorical", "side": "item"},
        {"name": "price", "kind": "numeric", "side": "item"},
    ],
    "labels": [{"name": "bought"}],
    "tasks": [{"name": "bought", "label": "bought"}],
    "roles": {"user": "user", "item": "item", "time": "time"},
}

ROWS: List[Dict[str, Any]] = [
    {"city": "Ulm", "seen": [7, 8], "price": 2.5},
    {"city": None, "seen": [], "price": None},
    {"city": "Jena", "seen": [3], "price": 4},
]


def write(folder: Path, found: List[Dict[str, Any]]) -> Path:
    path = folder / "table.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return path


def prepared_rows(folder: Path, found: List[Dict[str, Any]], **options: Any) -> prepared.Prepared:
    (folder / "schema.yaml").write_text(json.dumps(CONTENT))
    path = write(folder, found)
    chosen = parse({"table": path, "schema_path": folder / "schema.yaml", **options})
    return prepare.prepare(None, folder / "out", chosen, QUIET)


def many(count: int) -> List[Dict[str, Any]]:
    return [{**ROWS[i % 3], "bought": i % 2, "time": 1_000 + i, "item": i % 7, "user": i % 5} for i in range(count)]


def test_a_labelled_table_is_split_by_time_as_it_is(tmp_path: Path) -> None:
    found = prepared_rows(tmp_path, many(100))
    assert found.facts.rows == {"train": 80, "validation": 10, "test": 10}
    assert not found.facts.positives_only
    test = rows.read(found, "test", found.schema.columns(), ["bought", "event_time"])
    assert test["event_time"].tolist() == list(range(1_090, 1_100))
    assert test["bought"].tolist() == [0.0, 1.0] * 5
    items = {r["item"]: r for r in pq.read_table(found.items).to_pylist()}
    # Bought rows 1, 3, … 79 of the training part, by i % 7.
    assert items[1]["train_count"] == sum(i % 7 == 1 for i in range(1, 80, 2))
    # The newest training row of item 5 is 75 = 10 * 7 + 5, which has the cells of ROWS[0].
    assert items[5]["price"] == 2.5
    users = {r["user"]: r for r in pq.read_table(found.users).to_pylist()}
    assert users[4]["city"] == "Ulm"  # the newest row of user 4 is 99, which has the cells of ROWS[0]


def test_items_show_what_was_known_of_them(tmp_path: Path) -> None:
    # Item i % 7 again, but the price is the time; item 50 comes in the test part alone, at 1092 and 1095.
    found = [{**row, "price": row["time"]} for row in many(100)]
    found[92]["item"] = found[95]["item"] = 50
    items = {r["item"]: r for r in pq.read_table(prepared_rows(tmp_path, found).items).to_pylist()}
    assert items[3]["price"] == 1_073  # the newest of the training part, which ends with 1079; 1094 is of the test
    assert items[50]["price"] == 1_092 and items[50]["train_count"] == 0  # as it was when it first came


def test_labels_of_one_class_are_refused(tmp_path: Path) -> None:
    found = [{**row, "bought": int(row["time"] >= 1_080)} for row in many(100)]
    with pytest.raises(UsageError, match="label 'bought' is 0 in all 80 training rows .*; give rows of both classes"):
        prepared_rows(tmp_path, found)
    assert not (tmp_path / "out").exists()


def test_a_history_of_the_future_in_the_table_is_refused(tmp_path: Path) -> None:
    content = {**CONTENT, "features": [dict(f) for f in CONTENT["features"]]}
    content["features"][2]["times"] = "seen_at"
    (tmp_path / "schema.yaml").write_text(json.dumps(content))
    found = [{**row, "seen": [1], "seen_at": [row["time"] - 5]} for row in many(100)]
    found[57]["seen_at"] = [found[57]["time"] + 1]
    path = write(tmp_path, found)
    chosen = Options(table=path, schema_path=tmp_path / "schema.yaml")
    with pytest.raises(UsageError, match="train row 58, at time 1057: 'seen' shows an event later than the row"):
        prepare.prepare(None, tmp_path / "out", chosen, QUIET)
    found[57]["seen_at"] = [found[57]["time"] - 1]
    write(tmp_path, found)
    assert prepare.prepare(None, tmp_path / "out", chosen, QUIET).facts.rows["train"] == 80


CRITEO_NUMBERS = [f"I{i}" for i in range(1, 14)]
CRITEO_IDS = [f"C{i}" for i in range(1, 27)]


@pytest.mark.data
def test_criteo(tmp_path: Path, data_dir: Path) -> None:
    numbers = [
        {"name": n, "kind": "numeric", "side": "context", "transform": "log1p_standardise"} for n in CRITEO_NUMBERS
    ]
    ids = [{"name": n, "kind": "categorical", "side": "context", "dtype": "string"} for n in CRITEO_IDS]
    content = {"name": "criteo", "features": numbers + ids, "labels": [{"name": "label"}]}
    content["tasks"] = [{"name": "click", "label": "label"}]
    (tmp_path / "schema.yaml").write_text(json.dumps(content))
    table = data_dir / "deepctr-samples" / "criteo_sample.txt"
    chosen = Options(table=table, schema_path=tmp_path / "schema.yaml")
    found = prepare.prepare(None, tmp_path / "out", chosen, QUIET)
    assert sum(found.facts.rows.values()) == 200 and found.facts.rows["train"] > 130
    assert not found.facts.positives_only
    got = rows.read(found, "train", found.schema.columns(), ["label"])
    assert np.isnan(got["I1"]).any() and set(got["label"]) == {0.0, 1.0}
    assert not found.items.exists()


@pytest.mark.data
def test_avazu(tmp_path: Path, data_dir: Path) -> None:
    table = data_dir / "fuxictr-samples" / "avazu_custom"
    names = [n for n in pq.read_schema(table / "train.parquet").names if n != "click"]
    features = [{"name": name, "kind": "categorical", "side": "context"} for name in names]
    content = {"name": "avazu", "features": features, "labels": [{"name": "click"}]}
    content["tasks"] = [{"name": "click", "label": "click"}]
    (tmp_path / "schema.yaml").write_text(json.dumps(content))
    chosen = Options(table=table, schema_path=tmp_path / "schema.yaml", split="order")
    found = prepare.prepare(None, tmp_path / "out", chosen, QUIET)
    assert found.facts.rows == {"train": 2_400, "validation": 300, "test": 300}


CENSUS = (
    "age", "workclass", "fnlwgt", "education", "education_years", "marital_status", "occupation", "relationship",
    "race", "sex", "gain", "loss", "hours", "country", "income",
)  # fmt: skip


@pytest.mark.data
def test_census_income(tmp_path: Path, data_dir: Path) -> None:
    text = (data_dir / "census-income-adult" / "census-income.data").read_text()
    # Labels are numbers: the only thing that has to be said in the file itself.
    (tmp_path / "census.csv").write_text(text.replace("<=50K", "0").replace(">50K", "1"))
    numbers = ("age", "education_years", "gain", "loss", "hours")
    features = [
        {"name": n, "kind": "numeric", "side": "user"}
        if n in numbers
        else {"name": n, "kind": "categorical", "side": "user", "dtype": "string"}
        for n in CENSUS[:-1]
        if n != "fnlwgt"
    ]
    content = {"name": "census", "features": features, "labels": [{"name": "income"}]}
    content["tasks"] = [{"name": "income", "label": "income"}]
    (tmp_path / "schema.yaml").write_text(json.dumps(content))
    form = {"header": CENSUS, "missing": ["", "?"]}
    chosen = parse({"table": tmp_path / "census.csv", "schema_path": tmp_path / "schema.yaml", "form": form})
    found = prepare.prepare(None, tmp_path / "out", chosen, QUIET)
    assert sum(found.facts.rows.values()) == 32_561
    assert found.facts.vocabulary_sizes["sex"] == 2
    assert found.vocabulary("sex").read_text().split() == ["Male", "Female"]
    assert "?" not in found.vocabulary("workclass").read_text()
    income = rows.read(found, "train", (), ["income"])["income"]
    assert 0.23 < income.mean() < 0.25  # 24.1 % of all rows
