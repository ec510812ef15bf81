"""A schema's errors name the feature, the value and the cure."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Dict, Tuple

import pytest

from pipeline import schema as schemas
from signatures.errors import UsageError

GOOD: Dict[str, Any] = {
    "name": "films",
    "features": [
        {"name": "user_id", "side": "user", "kind": "categorical"},
        {"name": "age", "side": "user", "kind": "numeric", "clip": [1, 100]},
        {"name": "item_id", "side": "item", "kind": "categorical"},
        {"name": "genres", "side": "item", "kind": "bag", "dtype": "string"},
        {"name": "image", "side": "item", "kind": "dense", "width": 3},
        {
            "name": "history",
            "side": "user",
            "kind": "sequence",
            "shares": "item_id",
            "side_sequences": [{"name": "history_rating"}],
            "times": "history_time",
        },
    ],
    "labels": [{"name": "click"}, {"name": "like"}],
    "masks": [{"name": "like_mask"}],
    "sample_weights": [{"name": "weight"}],
    "tasks": [
        {"name": "click", "label": "click", "sample_weight": "weight"},
        {"name": "like", "label": "like", "mask": "like_mask"},
    ],
    "roles": {"user": "user_id", "item": "item_id", "time": "timestamp"},
}


def test_columns_are_what_a_request_holds() -> None:
    schema = schemas.parse(GOOD, "test")
    assert [column.name for column in schema.columns()] == [
        "user_id",
        "age",
        "item_id",
        "genres",
        "genres_length",
        "image",
        "history",
        "history_length",
        "history_rating",
        "history_time",
    ]
    by_name = {column.name: column for column in schema.columns()}
    assert by_name["history_rating"].length == by_name["history_time"].length == "history_length"
    assert by_name["image"].shape == (3,) and by_name["image"].dtype == "float32"


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    schema = schemas.parse(GOOD, "test")
    schemas.save(schema, tmp_path / "schema.yaml")
    assert schemas.load(tmp_path / "schema.yaml") == schema
    assert schemas.load(tmp_path / "schema.yaml").hash == schema.hash


def test_selecting_keeps_only_what_the_tasks_need() -> None:
    schema = schemas.parse(GOOD, "test")
    kept = schema.select((schema.feature("item_id"),), ("like",))
    assert kept.training_only == ("like", "like_mask")
    assert kept.feature_names == ("item_id",)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("features", 1, "kin"), "x", ("'age'", "kin", "unknown")),
        (("features", 1, "kind"), "number", ("'age'", "'number'", "numeric")),
        (("features", 1, "clip"), [9, 1], ("'age'", "[9.0, 1.0]", "below")),
        (("features", 1, "transform"), "bucketise", ("'age'", "bucketise", "boundaries")),
        (("features", 1, "side"), "usr", ("'age'", "side", "'usr'", "'user'")),
        (("features", 0, "hash_buckets"), 1, ("'user_id'", "hash_buckets is 1", "at least 2")),
        (("features", 5, "shares"), "film", ("'history'", "'film'", "item_id")),
        (("features", 5, "dtype"), "string", ("'history'", "string", "int64", "same dtype")),
        (("features", 3, "name"), "age", ("'age'", "rename")),
        (("features", 5, "side_sequences", 0, "x"), 1, ("'history'", "'history_rating'", "x is unknown")),
        (("labels", 0, "name"), "age", ("label 'age'", "rename")),
        (("tasks", 1, "mask"), "m", ("'like'", "mask 'm'", "like_mask")),
        (("colour",), 1, ("colour", "unknown")),
        (("features",), [], ("features", "at least 1")),
        (("labels", 0), "click", ("label number 1 is 'click'", "write a mapping such as {name: click}")),
    ],
)
def test_an_error_names_the_place_the_value_and_the_cure(path: Tuple[Any, ...], value: Any, words: Any) -> None:
    content = copy.deepcopy(GOOD)
    here: Any = content
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = value
    with pytest.raises(UsageError) as caught:
        schemas.parse(content, "films.yaml")
    assert [word for word in ("films.yaml", *words) if word not in str(caught.value)] == [], str(caught.value)


def test_next_item_needs_an_item() -> None:
    content = copy.deepcopy(GOOD)
    content["tasks"][0]["kind"] = "next_item"
    content["roles"] = {}
    with pytest.raises(UsageError, match="roles.item"):
        schemas.parse(content, "test")


def test_a_missing_key_is_named() -> None:
    content = copy.deepcopy(GOOD)
    del content["features"][0]["side"]
    with pytest.raises(UsageError, match="'user_id' side is missing; add it"):
        schemas.parse(content, "test")


@pytest.mark.parametrize("text", ["", "- 1", "{", "\x00"])
def test_a_file_that_is_no_schema_is_said_to_be_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "schema.yaml").write_text(text)
    with pytest.raises(UsageError, match="schema.yaml"):
        schemas.load(tmp_path / "schema.yaml")
