"""Bring your own: the same rows from every kind of file, and one clear sentence for every kind of bad one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from pipeline import schema as schemas
from pipeline.preparation import prepare
from pipeline.preparation.options import Options
from pipeline.schema import Schema
from pipeline.sources import json_table, parquet_table, tables
from pipeline.sources.table_format import Format
from signatures.errors import UsageError

QUIET = Console(quiet=True)

CONTENT: Dict[str, Any] = {
    "name": "shop",
    "features": [
        {"name": "user", "kind": "categorical", "side": "user"},
        {"name": "city", "kind": "categorical", "side": "user", "dtype": "string"},
        {"name": "seen", "kind": "sequence", "side": "user", "shares": "item", "maximum_length": 3},
        {"name": "item", "kind": "categorical", "side": "item"},
        {"name": "tags", "kind": "bag", "side": "item", "dtype": "string", "maximum_length": 2},
        {"name": "price", "kind": "numeric", "side": "item"},
        {"name": "image", "kind": "dense", "side": "item", "width": 2},
    ],
    "labels": [{"name": "bought"}],
    "tasks": [{"name": "bought", "label": "bought"}],
    "roles": {"user": "user", "item": "item", "time": "time"},
}

ROWS: List[Dict[str, Any]] = [
    {"user": 1, "city": "Ulm", "seen": [7, 8, 9, 10], "item": 7, "tags": ["a", "b", "c"], "price": 2.5,
     "image": [0.5, 1.0], "bought": 1, "time": 100},
    {"user": 2, "city": None, "seen": [], "item": 8, "tags": [], "price": None, "image": [0.0, 2.0], "bought": 0,
     "time": 200},
    {"user": None, "city": "Jena", "seen": [3], "item": 7, "tags": ["b"], "price": 4, "image": None, "bought": 0,
     "time": 300},
]  # fmt: skip

# The same with what is missing filled in, lists cut to the newest (sequences) or the first (bags).
EXPECTED: List[Dict[str, Any]] = [
    {"user": 1, "city": "Ulm", "seen": [8, 9, 10], "item": 7, "tags": ["a", "b"], "price": 2.5,
     "image": [0.5, 1.0], "time": 100, "bought": 1.0},
    {"user": 2, "city": "", "seen": [], "item": 8, "tags": [], "price": None, "image": [0.0, 2.0], "time": 200,
     "bought": 0.0},
    {"user": -1, "city": "Jena", "seen": [3], "item": 7, "tags": ["b"], "price": 4.0, "image": [], "time": 300,
     "bought": 0.0},
]  # fmt: skip


@pytest.fixture
def schema() -> Schema:
    return schemas.parse(CONTENT, "shop")


def csv_text(found: List[Dict[str, Any]]) -> str:
    def cell(value: Any) -> str:
        if isinstance(value, list):
            return "|".join(map(str, value))
        return "" if value is None else str(value)

    return "\n".join([",".join(found[0]), *(",".join(cell(v) for v in row.values()) for row in found)]) + "\n"


def json_text(found: List[Dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in found)


def write(folder: Path, name: str, found: List[Dict[str, Any]]) -> Path:
    path = folder / name
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(found), path)
    else:
        path.write_text(csv_text(found) if name.endswith("sv") else json_text(found), encoding="utf-8")
    return path


def read(path: Path, schema: Schema, form: Format = Format()) -> List[Dict[str, Any]]:  # noqa: B008
    source = tables.read(path, schema, form)
    return [row for batch in source.batches() for row in batch.to_pylist()]


def with_nan_as_none(found: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    return [{name: None if value != value else value for name, value in row.items()} for row in found]


@pytest.mark.parametrize("name", ["table.csv", "table.parquet", "table.jsonl"])
def test_all_kinds_of_file_give_the_same_rows(tmp_path: Path, schema: Schema, name: str) -> None:
    assert with_nan_as_none(read(write(tmp_path, name, ROWS), schema)) == EXPECTED


def test_a_folder_is_its_files_in_order(tmp_path: Path, schema: Schema) -> None:
    write(tmp_path, "b.csv", ROWS[2:])
    write(tmp_path, "a.csv", ROWS[:2])
    (tmp_path / "notes.md").write_text("not a table")
    assert with_nan_as_none(read(tmp_path, schema)) == EXPECTED


def test_other_separators_and_no_header(tmp_path: Path, schema: Schema) -> None:
    path = tmp_path / "table.txt"
    path.write_text(" 1 ; Ulm;?;7;x^y;?;1^2;1;100\n2;?;5^6;8;;3;?;0;200\n")
    header = ("user", "city", "seen", "item", "tags", "price", "image", "bought", "time")
    found = read(path, schema, Format(separator=";", header=header, missing=("?",), list_separator="^"))
    assert [(r["user"], r["city"], r["seen"], r["tags"], r["image"]) for r in found] == [
        (1, "Ulm", [], ["x", "y"], [1.0, 2.0]),
        (2, "", [5, 6], [], []),
    ]


def test_types_that_mean_the_same_are_taken(tmp_path: Path, schema: Schema) -> None:
    table = pa.Table.from_pylist(ROWS)
    times = pa.array(["1970-01-01T00:01:40", "1970-01-01T00:03:20", "1970-01-01T00:05:00"]).cast(pa.timestamp("us"))
    others = {
        "user": table["user"].cast(pa.float64()),  # as tables with missing integers often are
        "city": table["city"].combine_chunks().dictionary_encode(),
        "item": table["item"].cast(pa.uint16()),
        "price": table["price"].cast(pa.decimal128(5, 2)),
        "bought": table["bought"].cast(pa.bool_()),
        "seen": table["seen"].cast(pa.large_list(pa.int32())),
        "time": times,
    }
    for name, column in others.items():
        table = table.set_column(table.column_names.index(name), name, column)
    pq.write_table(table, tmp_path / "table.parquet")
    assert with_nan_as_none(read(tmp_path / "table.parquet", schema)) == EXPECTED


@pytest.mark.parametrize("time", ["1970-01-01T00:01:40", "1970-01-01 00:01:40", "1970-01-01T01:01:40+01:00", "100"])
def test_times_may_be_text(tmp_path: Path, schema: Schema, time: str) -> None:
    assert read(write(tmp_path, "table.csv", [{**ROWS[0], "time": time}]), schema)[0]["time"] == 100
    assert read(write(tmp_path, "table.jsonl", [{**ROWS[0], "time": time}]), schema)[0]["time"] == 100


def bad(change: Dict[str, Any]) -> List[Dict[str, Any]]:
    """The rows with the second one changed."""
    return [ROWS[0], {**ROWS[1], **change}, ROWS[2]]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"item": "shoe"}, "row 2: column 'item' is .shoe.; the schema says"),
        ({"item": 2.5}, "row 2: column 'item' is .?2.5.?; the schema says"),
        ({"price": "cheap"}, "row 2: column 'price' is .cheap.; the schema says"),
        ({"seen": [1, "x"]}, "row 2: column 'seen' is .*; the schema says"),
        ({"image": [1.0, 2.0, 3.0]}, "row 2: column 'image' is a list of 3; give 2, as its width says"),
        ({"bought": None}, "row 2: column 'bought' is missing; give 0 or 1"),
        ({"bought": 7}, "row 2: column 'bought' is 7.0; a label is a number from 0 to 1"),
        ({"time": None}, "row 2: column 'time' is missing; set it: every row needs its time"),
        ({"time": "noon"}, "row 2: column 'time' is .noon.; "),
    ],
)
def test_a_wrong_cell_is_named(tmp_path: Path, schema: Schema, kind: str, change: Dict[str, Any], message: str) -> None:
    path = write(tmp_path, f"table.{kind}", bad(change))
    with pytest.raises(UsageError, match=message) as caught:
        read(path, schema)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_wrong_type_of_a_parquet_column_is_named(tmp_path: Path, schema: Schema) -> None:
    path = write(tmp_path, "table.parquet", [{**row, "price": ["cheap"]} for row in ROWS])
    with pytest.raises(UsageError, match=r"row 1: column 'price' is \['cheap'\] of type list.*; the schema says a num"):
        read(path, schema)
    path = write(tmp_path, "table.parquet", [{**row, "city": 1.5} for row in ROWS])
    with pytest.raises(UsageError, match="row 1: column 'city' is 1.5 of type double; the schema says text"):
        read(path, schema)
    path = write(tmp_path, "table.parquet", [{**row, "bought": float("nan")} for row in ROWS])
    with pytest.raises(UsageError, match="row 1: column 'bought' is missing; give 0 or 1"):
        read(path, schema)


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_a_missing_column_is_named(tmp_path: Path, schema: Schema, kind: str) -> None:
    path = write(tmp_path, f"table.{kind}", [{k: v for k, v in row.items() if k != "price"} for row in ROWS])
    with pytest.raises(UsageError, match=f"{path}: column 'price' is missing, which schema 'shop' needs; its columns"):
        read(path, schema)


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_an_empty_file_is_named(tmp_path: Path, schema: Schema, kind: str) -> None:
    path = tmp_path / f"table.{kind}"
    path.write_bytes(b"")
    with pytest.raises(UsageError, match=f"{path} is empty; give a table with at least one row"):
        read(path, schema)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_without_a_row_is_named(tmp_path: Path, kind: str) -> None:
    (tmp_path / "schema.yaml").write_text(json.dumps(CONTENT))
    path = write(tmp_path, f"table.{kind}", ROWS)
    if kind == "csv":
        path.write_text(csv_text(ROWS).splitlines()[0] + "\n")
    else:
        pq.write_table(pa.Table.from_pylist(ROWS).slice(0, 0), path)
    chosen = Options(table=path, schema_path=tmp_path / "schema.yaml")
    with pytest.raises(UsageError, match="has no row"):
        prepare.prepare(None, tmp_path / "out", chosen, QUIET)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("part", [0.3, 0.9, 0.999])
def test_a_truncated_parquet_file_is_named(tmp_path: Path, schema: Schema, part: float) -> None:
    path = write(tmp_path, "table.parquet", ROWS)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(UsageError, match=f"{path} is no whole Parquet file .*; write or copy it again"):
        read(path, schema)


def test_a_damaged_parquet_page_is_named(tmp_path: Path, schema: Schema) -> None:
    path = write(tmp_path, "table.parquet", ROWS)
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 600 + content[604:])
    with pytest.raises(UsageError, match=f"{path} cannot be read after row 0 .*; write or copy it again"):
        read(path, schema)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"user": 1', "row 2 is no JSON"),
        ("[1, 2]", "row 2 is a list, not an object"),
        ('{"user": NaN}', "row 2 is no JSON .NaN is not JSON, write null"),
        ('{"user": 1} {"user": 2}', "row 2 is no JSON"),
    ],
)
def test_a_bad_line_of_json_is_named(tmp_path: Path, schema: Schema, line: str, message: str) -> None:
    path = tmp_path / "table.jsonl"
    path.write_text(json.dumps(ROWS[0]) + "\n" + line + "\n")
    with pytest.raises(UsageError, match=message):
        read(path, schema)


def test_a_wrong_cell_far_down_is_named(tmp_path: Path, schema: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_table, "BATCH_ROWS", 2)
    path = write(tmp_path, "table.parquet", [*ROWS, *bad({"bought": 7})])
    with pytest.raises(UsageError, match="row 5: column 'bought' is 7.0"):
        read(path, schema)


def test_a_bad_line_of_json_far_down_is_named(tmp_path: Path, schema: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_table, "_BLOCK_BYTES", 1_000)
    path = tmp_path / "table.jsonl"
    path.write_text((json.dumps(ROWS[0]) + "\n") * 1_500 + "{oops\n")
    with pytest.raises(UsageError, match="row 1501 is no JSON"):
        read(path, schema)


def test_a_line_of_another_width_is_named(tmp_path: Path, schema: Schema) -> None:
    path = tmp_path / "table.csv"
    path.write_text(csv_text(ROWS) + "1,2,3\n")
    with pytest.raises(UsageError, match=f"{path} .*has 3 cells instead of 9 .*quote cells that contain the separator"):
        read(path, schema)


def test_text_that_is_not_utf8_is_named(tmp_path: Path, schema: Schema) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(csv_text(ROWS).replace("Jena", "K\xf6ln").encode("latin-1"))
    with pytest.raises(UsageError, match=f"{path} .*UTF-?8"):
        read(path, schema)


def test_headers_must_be_distinct(tmp_path: Path, schema: Schema) -> None:
    path = tmp_path / "table.csv"
    path.write_text("user,user\n1,2\n")
    with pytest.raises(UsageError, match="two columns named 'user'"):
        read(path, schema)


def test_tables_that_are_not_there_or_of_no_kind(tmp_path: Path, schema: Schema) -> None:
    with pytest.raises(UsageError, match="does not exist; give a file or a folder of files"):
        read(tmp_path / "none.csv", schema)
    (tmp_path / "table.xlsx").write_text("x")
    with pytest.raises(UsageError, match="of no known kind; its name must end in .csv"):
        read(tmp_path / "table.xlsx", schema)
    with pytest.raises(UsageError, match="holds no table"):
        read(tmp_path, schema)


def test_files_of_a_folder_need_the_same_columns(tmp_path: Path, schema: Schema) -> None:
    write(tmp_path, "a.csv", ROWS)
    write(tmp_path, "b.csv", [{**ROWS[0], "extra": 1}])
    with pytest.raises(UsageError, match="column 'extra' is not in both"):
        read(tmp_path, schema)


def test_side_sequences_are_in_step(tmp_path: Path) -> None:
    content = {**CONTENT, "features": [dict(f) for f in CONTENT["features"]]}
    content["features"][2]["side_sequences"] = [{"name": "stars"}]
    found = [{**row, "stars": [5] * len(row["seen"])} for row in ROWS]
    parsed = schemas.parse(content, "shop")
    assert [r["stars"] for r in read(write(tmp_path, "a.jsonl", found), parsed)] == [[5, 5, 5], [], [5]]
    found[2]["stars"] = [5, 4]
    with pytest.raises(UsageError, match="row 3: column 'stars' is a list of 2; give 1, one for each cell of 'seen'"):
        read(write(tmp_path, "a.jsonl", found), parsed)


def test_what_does_not_count_needs_no_label(tmp_path: Path) -> None:
    content = {**CONTENT, "masks": [{"name": "shown"}], "tasks": [{"name": "b", "label": "bought", "mask": "shown"}]}
    parsed = schemas.parse(content, "shop")
    found = [{**row, "shown": 1} for row in bad({"bought": None})]
    found[1]["shown"] = 0
    assert [r["bought"] for r in read(write(tmp_path, "a.csv", found), parsed)] == [1.0, 0.0, 0.0]
    found[1]["shown"] = 1
    with pytest.raises(UsageError, match="row 2: column 'bought' is missing"):
        read(write(tmp_path, "a.csv", found), parsed)
    found[1]["shown"] = -1
    with pytest.raises(UsageError, match="row 2: column 'shown' is -1.0; give 0 or more"):
        read(write(tmp_path, "a.csv", found), parsed)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "user": st.none() | st.integers(-(2**63), 2**63 - 1),
                "city": st.none() | st.text(),
                "seen": st.none() | st.lists(st.integers(0, 2**40), max_size=6),
                "item": st.integers(0, 5),
                "tags": st.none() | st.lists(st.text(max_size=3), max_size=4),
                "price": st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32),
                "image": st.none() | st.lists(st.floats(0, 1, width=32), min_size=2, max_size=2),
                "bought": st.integers(0, 1),
                "time": st.integers(0, 2**33),
            }
        ),
        min_size=1,
        max_size=12,
    )
)
def test_any_rows_are_read_as_they_are(tmp_path: Path, found: List[Dict[str, Any]]) -> None:
    got = read(write(tmp_path, "table.jsonl", found), schemas.parse(CONTENT, "shop"))
    for row, raw in zip(got, found):
        assert row["user"] == (-1 if raw["user"] is None else raw["user"])
        assert row["city"] == (raw["city"] or "")
        assert row["seen"] == (raw["seen"] or [])[-3:]
        assert row["tags"] == (raw["tags"] or [])[:2]
        assert np.isnan(row["price"]) if raw["price"] is None else row["price"] == raw["price"]
