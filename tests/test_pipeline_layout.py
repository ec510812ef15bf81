"""Where each column comes from, and what is said when it comes from nowhere."""

from __future__ import annotations

from typing import Any, Dict, List

import pyarrow as pa
import pytest

from pipeline import schema as schemas
from pipeline.preparation import layout as layouts
from pipeline.preparation.layout import Layout
from pipeline.sources.movielens_schema import schema as movielens
from signatures.errors import UsageError

RATINGS = ["user_id", "item_id", "rating", "timestamp", "hour", "weekday", "like"]
USERS = ["user_id", "age", "gender", "occupation"]
ITEMS = ["item_id", "title", "genres", "release_year"]


def plan(columns: List[str], **changes: Any) -> Layout:
    content: Dict[str, Any] = {
        "name": "t",
        "features": [
            {"name": "user", "kind": "categorical", "side": "user"},
            {"name": "item", "kind": "categorical", "side": "item"},
            {"name": "history", "kind": "sequence", "side": "user", "shares": "item"},
        ],
        "labels": [{"name": "click"}, {"name": "like"}],
        "masks": [{"name": "shown"}],
        "tasks": [{"name": "click", "label": "click"}, {"name": "like", "label": "like", "mask": "shown"}],
        "roles": {"user": "user", "item": "item", "time": "time"},
    }
    return layouts.plan(schemas.parse({**content, **changes}, "t"), columns, "t.csv")


def test_movielens() -> None:
    found = layouts.plan(movielens("ml-100k"), RATINGS, "u.data", USERS, ITEMS)
    assert found.user_columns == ("age", "gender", "occupation")
    assert found.item_columns == ("genres", "release_year")
    assert set(found.given) == set(RATINGS)
    assert found.histories[0].cells == {"history": "item_id", "history_time": "timestamp", "history_rating": "rating"}
    assert set(found.constant) == {"click", "like_mask", "weight"}
    assert found.positives_only and found.happened is None and found.supposed_labels == ("click",)
    assert "next_item" not in found.stored and "rating" not in found.stored and "timestamp" not in found.stored
    types = layouts.raw_types(found.schema, found.histories)
    assert types["rating"] == pa.int64() and types["genres"] == pa.list_(pa.string()) and types["like"] == pa.float32()


def test_a_label_in_the_rows_says_what_happened() -> None:
    found = plan(["user", "item", "time", "click", "like", "shown"])
    assert found.happened == "click" and not found.positives_only and found.histories
    assert found.constant == ()


def test_one_label_in_the_rows_is_enough_to_miss_the_other() -> None:
    tasks = [{"name": "click", "label": "click"}, {"name": "buy", "label": "like"}]
    with pytest.raises(UsageError, match="column 'like' is missing"):
        plan(["user", "item", "time", "click", "shown"], tasks=tasks)


def test_a_table_with_masked_labels_alone_is_labelled_too() -> None:
    only_like = {"tasks": [{"name": "like", "label": "like", "mask": "shown"}], "labels": [{"name": "like"}]}
    found = plan(["user", "item", "time", "like", "shown"], **only_like)
    assert found.happened is None and not found.positives_only


def test_a_sequence_in_the_rows_is_taken_from_there() -> None:
    found = plan(["user", "item", "time", "click", "like", "shown", "history"])
    assert found.histories == () and "history" in found.given


def test_a_title_is_kept_where_there_is_one() -> None:
    found = plan(["user", "item", "time", "like", "shown", "title"])
    assert "title" in found.given and found.stored[-1] == "title"


@pytest.mark.parametrize(
    ("columns", "changes", "message"),
    [
        (["item", "time", "like"], {}, "t.csv: column 'user' is missing, which schema 't' needs; its columns are item"),
        (["user", "item", "time"], {}, "column 'like' is missing"),
        (["user", "item", "click", "like", "shown"], {"roles": {"user": "user"}}, "column 'history' is missing"),
        (["user", "item", "click", "like"], {"roles": {}}, "column 'history' is missing"),
        (["user", "item", "history", "click", "like"], {"roles": {}}, "column 'shown' is missing"),
        (["user"], {"labels": [{"name": "click"}, {"name": "like"}, {"name": "newer_events"}]}, "is kept for"),
    ],
)
def test_what_is_nowhere_is_named(columns: List[str], changes: Dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan(columns, **changes)


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ({"side_sequences": [{"name": "stars"}]}, "side sequence 'stars' of 'history' .*; name it history_COLUMN"),
        ({"side_sequences": [{"name": "history_time"}]}, "'history_time' is kept for the times of 'history'; set its"),
        ({"side_sequences": [{"name": "history_stars"}]}, "column 'stars' is missing"),
    ],
)
def test_side_sequences_say_of_which_column(sequence: Dict[str, Any], message: str) -> None:
    features = [
        {"name": "user", "kind": "categorical", "side": "user"},
        {"name": "item", "kind": "categorical", "side": "item"},
        {"name": "history", "kind": "sequence", "side": "user", "shares": "item", **sequence},
    ]
    with pytest.raises(UsageError, match=message):
        plan(["user", "item", "time", "like"], features=features)
