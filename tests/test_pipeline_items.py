"""The item table, and who has met which item."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest

from pipeline import items as item_tables
from pipeline.prepared import Prepared
from signatures.errors import UsageError
from tests import prepared_folder

ITEMS: Dict[str, List[Any]] = {
    "item_id": [30, 10, 20],
    "genres": [["Drama"], [], ["Drama", "War"]],
    "train_count": [0, 2, 1],
    "title": ["C", None, "B"],
}
PARTS: Dict[str, Dict[str, List[Any]]] = {
    "train": {"user_id": [1, 1, 2, 3], "item_id": [10, 20, 10, None]},
    "validation": {"user_id": [2], "item_id": [20]},
}


def folder(tmp_path: Path, dtype: str = "int64", roles: Any = None) -> Prepared:
    schema = {
        "name": "films",
        "roles": {"user": "user_id", "item": "item_id"} if roles is None else roles,
        "features": [
            {"name": "user_id", "kind": "categorical", "side": "user", "dtype": dtype},
            {"name": "item_id", "kind": "categorical", "side": "item", "dtype": dtype},
            {"name": "genres", "kind": "bag", "side": "item", "dtype": "string"},
        ],
    }

    def ids(columns: Dict[str, List[Any]]) -> Dict[str, List[Any]]:
        if dtype == "int64":
            return columns
        return {n: [c and f"x{c}" for c in cells] if n.endswith("_id") else cells for n, cells in columns.items()}

    parts = {part: ids(columns) for part, columns in PARTS.items()}
    return prepared_folder.write(tmp_path / "data", schema, parts, ids(ITEMS))


def test_items_and_their_columns(tmp_path: Path) -> None:
    items = item_tables.load(folder(tmp_path))
    assert items.ids.tolist() == [30, 10, 20]
    assert items.counts.tolist() == [0, 2, 1]
    assert items.titles.tolist() == ["C", "", "B"]
    assert sorted(items.rows) == ["genres", "genres_length", "item_id"]
    assert items.index(np.array([[10, 99], [30, -1]])).tolist() == [[1, -1], [0, -1]]
    taken = items.take(np.array([[2, 1], [0, 0]]))
    assert taken["genres"].tolist() == [[["Drama", "War"], ["", ""]], [["Drama", ""], ["Drama", ""]]]
    assert taken["genres_length"].tolist() == [[2, 0], [1, 1]]


def test_string_ids(tmp_path: Path) -> None:
    prepared = folder(tmp_path, "string")
    items = item_tables.load(prepared)
    assert items.index(np.array(["x20", "x99"], object)).tolist() == [2, -1]
    seen = item_tables.seen(prepared)
    assert seen.contains(np.array(["x1", "x2", "x9"], object), np.array([2, 2, 2])).tolist() == [True, False, False]


def test_seen_pairs_are_those_of_the_parts_asked_for(tmp_path: Path) -> None:
    prepared = folder(tmp_path)
    users = np.repeat([1, 2, 3, 9], 3)
    places = np.tile([0, 1, 2], 4)
    train = item_tables.seen(prepared).contains(users, places).reshape(4, 3)
    # Positions 0, 1, 2 are items 30, 10, 20. The item of user 3 is missing: it is no item, not the one before.
    assert train.tolist() == [[False, True, True], [False, True, False], [False] * 3, [False] * 3]
    both = item_tables.seen(prepared, ("train", "validation")).contains(users, places).reshape(4, 3)
    assert both.tolist() == [[False, True, True], [False, True, True], [False] * 3, [False] * 3]
    assert item_tables.seen(prepared).contains_at(np.array([[0]]), np.array([[-1, 0, 1]])).tolist() == [
        [False, False, True]
    ]


def test_a_schema_without_roles_says_so(tmp_path: Path) -> None:
    prepared = folder(tmp_path, roles={"user": "user_id"})
    with pytest.raises(UsageError, match="schema 'films' names no item column; set roles.item"):
        item_tables.load(prepared)


def test_a_truncated_table_is_named(tmp_path: Path) -> None:
    prepared = folder(tmp_path)
    prepared.items.write_bytes(prepared.items.read_bytes()[:-20])
    with pytest.raises(UsageError, match="items.parquet is no whole Parquet file"):
        item_tables.load(prepared)
