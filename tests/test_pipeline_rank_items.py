"""What `rank_items` holds of a catalogue, with a model so plain that its answers can be worked out by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, List

import numpy as np
import pytest
import tensorflow as tf

from pipeline import items as item_tables
from pipeline import rank_items
from pipeline.encoding import Encoder
from pipeline.rank_items import HeldItems, described, item_of
from pipeline.schema import Schema
from tests import prepared_folder

YEAR = {"name": "year", "kind": "numeric", "side": "item", "transform": "none"}


class Plain:
    """logit = 1000 user + 100 genres + 10 year + item, of encoded features."""

    def item_parts(self, item: Dict[str, tf.Tensor]) -> Dict[str, tf.Tensor]:
        row, genres = (tf.cast(item[name], tf.float32) for name in ("item_id", "genres_length"))
        return {"item": row + 10 * item["year"], "genres": genres[:, tf.newaxis]}

    def rank_parts(self, user: Dict[str, tf.Tensor], parts: Dict[str, tf.Tensor]) -> Dict[str, tf.Tensor]:
        users = 1000 * tf.cast(user["user_id"], tf.float32)[:, tf.newaxis]
        return {"click": users + 100 * parts["genres"][..., 0] + parts["item"]}


def built(folder: Path, ids: List[Any], **of_item: Any) -> Any:
    """Items in this order with years 1, 2, 3 and 0, 1, 2 genres; the first two are in the vocabulary."""
    dtype = "string" if isinstance(ids[0], str) else "int64"
    features = [
        {"name": "user_id", "kind": "categorical", "side": "user"},
        {"name": "item_id", "kind": "categorical", "side": "item", "dtype": dtype, **of_item},
        {"name": "genres", "kind": "bag", "side": "item", "dtype": "string"},
        YEAR,
    ]
    schema = {"name": "films", "roles": {"user": "user_id", "item": "item_id"}, "features": features}
    known: Dict[str, List[Any]] = {"user_id": [7], "genres": ["Drama", "War"]}
    known.update({} if of_item else {"item_id": ids[:2]})
    items = {"item_id": ids, "genres": [[], ["Drama"], ["War", "Drama"]], "year": [1.0, 2.0, 3.0],
             "train_count": [1, 1, 0]}
    prepared = prepared_folder.write(folder / "data", schema, {"train": {"user_id": [7]}}, items, known)
    encoder = Encoder(prepared.schema, prepared)
    return SimpleNamespace(schema=prepared.schema, encoder=encoder, model=Plain()), item_tables.load(prepared)


def ranked(made: Any, items: Any, ids: List[List[Any]]) -> np.ndarray:
    held = HeldItems(made, items)
    user = {"user_id": tf.constant([2] * len(ids))}
    raw = tf.constant(ids, tf.as_dtype(made.schema.feature("item_id").dtype))
    found: np.ndarray = held.rank(user, raw)["click"].numpy()
    return found


@pytest.mark.parametrize("largest_parts", [1 << 20, 0])
def test_candidates_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest_parts: int) -> None:
    monkeypatch.setattr(rank_items, "LARGEST_PARTS", largest_parts)
    made, items = built(tmp_path, [30, 10, 20])
    assert HeldItems(made, items).holds_parts == bool(largest_parts)
    # Item 30 is row 2 of the vocabulary, without a genre, of year 1; 10 row 3; 20, in the catalogue alone, row 1.
    assert ranked(made, items, [[30, 10], [20, 30]]).tolist() == [[2012.0, 2123.0], [2231.0, 2012.0]]
    # 99 is out of vocabulary and nothing else; -1 is no item.
    assert ranked(made, items, [[99, -1, 10]]).tolist() == [[2001.0, 2000.0, 2123.0]]


def test_text_ids(tmp_path: Path) -> None:
    made, items = built(tmp_path, ["c", "a", "b"])
    assert ranked(made, items, [["b", "c", "zz", "", "a"]]).tolist() == [[2231.0, 2012.0, 2001.0, 2000.0, 2123.0]]


def test_a_hashed_id_that_is_unknown_keeps_its_own_row(tmp_path: Path) -> None:
    made, items = built(tmp_path, [30, 10, 20], hash_buckets=1000)
    assert not HeldItems(made, items).holds_parts
    item = made.schema.feature("item_id")
    row = {n: int(made.encoder.ids(item, tf.constant([n], tf.int64))[0]) for n in (10, 98, 99)}
    assert row[98] != row[99]
    assert ranked(made, items, [[98, 99, 10, -1]]).tolist() == [
        [2000.0 + row[98], 2000.0 + row[99], 2120.0 + row[10], 2000.0]
    ]


def test_parts_too_large_for_memory_are_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, items = built(tmp_path, [30, 10, 20])
    # Two numbers of 4 bytes for each of three items.
    for largest, held in ((24, True), (23, False)):
        monkeypatch.setattr(rank_items, "LARGEST_PARTS", largest)
        assert HeldItems(made, items).holds_parts == held


def test_what_ids_stand_for(tmp_path: Path) -> None:
    made, items = built(tmp_path, [30, 10, 20])
    found = described(made.schema, items, np.array([[20, 99]]))
    assert found["item_id"].tolist() == [[20, 99]] and found["genres_length"].tolist() == [[2, 0]]
    assert found["genres"].tolist() == [[["War", "Drama"], ["", ""]]]
    assert found["year"][0, 0] == 3.0 and np.isnan(found["year"][0, 1])


def test_ids_are_not_enough_where_a_feature_is_of_the_pair(tmp_path: Path) -> None:
    whole = built(tmp_path, [1, 2, 3])[0].schema
    assert item_of(whole) is not None

    def changed(**more: Any) -> Schema:
        return Schema.model_validate({**whole.model_dump(), **more})

    features = whole.model_dump()["features"]
    assert item_of(changed(features=[*features, {**YEAR, "name": "distance", "side": "cross"}])) is None
    assert item_of(changed(roles={"user": "user_id"})) is None
    assert item_of(changed(roles={"item": "genres"})) is None
