"""Parquet to numpy: shapes of the wire, missing cells, and files that are not whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import rows as row_files
from pipeline.prepared import Prepared
from signatures.errors import UsageError
from tests import prepared_folder

SCHEMA: Dict[str, Any] = {
    "name": "films",
    "roles": {"user": "user_id", "item": "item_id"},
    "features": [
        {"name": "user_id", "kind": "categorical", "side": "user"},
        {"name": "city", "kind": "categorical", "side": "user", "dtype": "string"},
        {"name": "age", "kind": "numeric", "side": "user"},
        {"name": "item_id", "kind": "categorical", "side": "item"},
        {"name": "genres", "kind": "bag", "side": "item", "dtype": "string"},
        {"name": "image", "kind": "dense", "side": "item", "width": 2},
        {
            "name": "history",
            "kind": "sequence",
            "side": "user",
            "shares": "item_id",
            "side_sequences": [{"name": "history_rating"}],
            "times": "history_time",
        },
    ],
    "labels": [{"name": "click"}],
}

TRAIN: Dict[str, List[Any]] = {
    "user_id": [1, None, 2],
    "city": ["Zürich", "", None],
    "age": [30.5, None, 2.0],
    "item_id": [10, 20, 30],
    "genres": [["Drama", None], [], None],
    "image": [[1.0, 2.0], None, [3.0, 4.0]],
    "history": [[], [10], [20, None, 10]],
    "history_rating": [[], [5], [1, 2, 3]],
    "history_time": [[], [100], [7, 8, 9]],
    "click": [1.0, 0.0, 1.0],
    "event_time": [5, 6, 7],
    "newer_events": [3, -1, 0],
}


def folder(tmp_path: Path, row_group: int = 2, **changed: List[Any]) -> Prepared:
    return prepared_folder.write(tmp_path / "data", SCHEMA, {"train": {**TRAIN, **changed}}, row_group=row_group)


@pytest.mark.parametrize("row_group", [1, 2, 10])
def test_cells_have_the_shapes_of_the_wire(tmp_path: Path, row_group: int) -> None:
    prepared = folder(tmp_path, row_group)
    found = row_files.read(prepared, "train", prepared.schema.columns(), ["click", "event_time", "newer_events"])
    assert {name: cells.dtype.name for name, cells in found.items()} == {
        "user_id": "int64",
        "city": "object",
        "age": "float32",
        "item_id": "int64",
        "genres": "object",
        "genres_length": "int64",
        "image": "float32",
        "history": "int64",
        "history_length": "int64",
        "history_rating": "int64",
        "history_time": "int64",
        "click": "float32",
        "event_time": "int64",
        "newer_events": "int64",
    }
    assert found["user_id"].tolist() == [1, -1, 2]
    assert found["city"].tolist() == ["Zürich", "", ""]
    np.testing.assert_array_equal(found["age"], np.array([30.5, np.nan, 2.0], np.float32))
    assert found["genres"].tolist() == [["Drama", ""], ["", ""], ["", ""]]
    assert found["genres_length"].tolist() == [2, 0, 0]
    np.testing.assert_array_equal(found["image"], np.array([[1, 2], [np.nan, np.nan], [3, 4]]))
    assert found["history"].tolist() == [[0, 0, 0], [10, 0, 0], [20, -1, 10]]
    assert found["history_rating"].tolist() == [[0, 0, 0], [5, 0, 0], [1, 2, 3]]
    assert found["history_time"].tolist() == [[0, 0, 0], [100, 0, 0], [7, 8, 9]]
    assert found["history_length"].tolist() == [0, 1, 3]
    assert found["newer_events"].tolist() == [3, -1, 0]


def test_lists_without_any_cell_have_width_zero(tmp_path: Path) -> None:
    prepared = folder(tmp_path, history=[[], [], []], history_rating=[[], None, []], history_time=[[], [], []])
    found = row_files.read(prepared, "train", prepared.schema.columns())
    assert found["history"].shape == found["history_rating"].shape == (3, 0)
    assert found["history_length"].tolist() == [0, 0, 0]


def test_a_table_without_rows(tmp_path: Path) -> None:
    prepared = folder(tmp_path)
    found = row_files.from_table(prepared_folder.table(prepared.schema, TRAIN).slice(0, 0), prepared.schema.columns())
    assert found["image"].shape == (0, 2)
    assert found["history"].shape == (0, 0)
    assert row_files.count(found) == 0


def test_a_slice_of_a_table_has_only_its_own_cells(tmp_path: Path) -> None:
    prepared = folder(tmp_path)
    found = row_files.from_table(prepared_folder.table(prepared.schema, TRAIN).slice(1, 1), prepared.schema.columns())
    assert found["history"].tolist() == [[10]]
    assert found["city"].tolist() == [""]


def test_files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    prepared = folder(tmp_path)
    second = prepared_folder.table(prepared.schema, {**TRAIN, "item_id": [4, 5, 6]})
    pq.write_table(second, prepared.part("train") / "part-00001.parquet")
    assert row_files.read(prepared, "train", [], ["item_id"])["item_id"].tolist() == [10, 20, 30, 4, 5, 6]


def test_rows_at_positions(tmp_path: Path) -> None:
    prepared = folder(tmp_path)
    groups = row_files.row_groups(prepared, "train")
    assert [(group.index, group.rows) for group in groups] == [(0, 2), (1, 1)]
    found = row_files.read_groups(groups, prepared.schema.columns(), at=np.array([0, 2]))
    assert found["item_id"].tolist() == [10, 30]
    assert found["history"].tolist() == [[0, 0, 0], [20, -1, 10]]


def test_take_and_concatenate(tmp_path: Path) -> None:
    prepared = folder(tmp_path)
    whole = row_files.read(prepared, "train", prepared.schema.columns())
    short = row_files.from_table(prepared_folder.table(prepared.schema, TRAIN).slice(0, 2), prepared.schema.columns())
    joined = row_files.concatenate([short, row_files.take(whole, np.array([2]))])
    for name, cells in whole.items():
        np.testing.assert_array_equal(joined[name], cells)
    assert row_files.take(whole, np.array([[0, 1], [2, 2]]))["history"].shape == (2, 2, 3)


@pytest.mark.parametrize("bytes_left", [0, 3, 100, -1, -100])
def test_a_truncated_file_is_named(tmp_path: Path, bytes_left: int) -> None:
    prepared = folder(tmp_path)
    file = prepared.part("train") / "part-00000.parquet"
    file.write_bytes(file.read_bytes()[:bytes_left])
    with pytest.raises(
        UsageError, match=r"part-00000.parquet is no whole Parquet file \(.*\); run signet prepare again"
    ):
        row_files.read(prepared, "train", prepared.schema.columns())


def test_a_file_with_broken_pages_is_named(tmp_path: Path) -> None:
    prepared = folder(tmp_path)
    file = prepared.part("train") / "part-00000.parquet"
    content = bytearray(file.read_bytes())
    content[4:200] = b"\xff" * 196
    file.write_bytes(bytes(content))
    with pytest.raises(UsageError, match="part-00000.parquet is no whole Parquet file"):
        row_files.read(prepared, "train", prepared.schema.columns())


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    prepared = folder(tmp_path)
    with pytest.raises(UsageError, match="column 'like' is missing in .*part-00000.parquet"):
        row_files.read(prepared, "train", prepared.schema.columns(), ["like"])
    with pytest.raises(UsageError, match="validation holds no Parquet file"):
        row_files.read(prepared, "validation", prepared.schema.columns())
    with pytest.raises(UsageError, match="column 'user_id' is missing in the table"):
        row_files.from_table(pa.table({"other": [1]}), prepared.schema.columns())


def test_a_column_of_another_type_is_named(tmp_path: Path) -> None:
    prepared = folder(tmp_path)
    table = prepared_folder.table(prepared.schema, TRAIN)
    wrong = table.set_column(0, "user_id", pa.array(["one", "two", "three"]))
    with pytest.raises(UsageError, match="column 'user_id' is stored as string and its feature says int64"):
        row_files.from_table(wrong, prepared.schema.columns())


def test_cells_that_do_not_fit_are_named(tmp_path: Path) -> None:
    prepared = folder(tmp_path)
    out_of_step = prepared_folder.table(prepared.schema, {**TRAIN, "history_time": [[], [100], [7, 8]]})
    with pytest.raises(UsageError, match="'history_time' has 2 cells in row 2 where history_length is 3"):
        row_files.from_table(out_of_step, prepared.schema.columns())
    wide = prepared_folder.table(prepared.schema, {**TRAIN, "image": [[1.0, 2.0], [1.0, 2.0, 3.0], None]})
    with pytest.raises(UsageError, match="'image' has 3 numbers in row 1; its feature says width 2"):
        row_files.from_table(wide, prepared.schema.columns())
    with pytest.raises(UsageError, match="'event_time' has 1 missing cells"):
        row_files.from_table(pa.table({"event_time": [1, None]}), [], ["event_time"])
