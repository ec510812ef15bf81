"""A prepared folder of events with known histories, for the tests of what trains on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

from pipeline.prepared import Prepared
from tests import prepared_folder

USERS, ITEMS, EVENTS = 6, 40, 8
"""User u met items of u * 3, u * 3 + 1, ... in this order, EVENTS of them; user 5 has met every item."""
GROUP = 7
"""Rows of a row group: 5 users with 8 events and one with 40 make 80 rows, 12 groups."""
DAY = 86_400

SCHEMA: Dict[str, Any] = {
    "name": "events",
    "roles": {"user": "user_id", "item": "item_id", "time": "timestamp"},
    "features": [
        {"name": "user_id", "kind": "categorical", "side": "user"},
        {"name": "city", "kind": "categorical", "side": "user", "dtype": "string"},
        {
            "name": "history",
            "kind": "sequence",
            "side": "user",
            "shares": "item_id",
            "maximum_length": 4,
            "side_sequences": [{"name": "history_rating"}],
            "times": "history_time",
        },
        {"name": "hour", "kind": "categorical", "side": "context"},
        {"name": "item_id", "kind": "categorical", "side": "item"},
        {"name": "genres", "kind": "bag", "side": "item", "dtype": "string", "maximum_length": 2},
        {"name": "price", "kind": "numeric", "side": "item", "transform": "none"},
    ],
    "labels": [{"name": "click"}, {"name": "like"}, {"name": "next_item"}],
    "masks": [{"name": "like_mask"}],
    "sample_weights": [{"name": "weight"}],
    "tasks": [
        {"name": "click", "label": "click", "sample_weight": "weight"},
        {"name": "like", "label": "like", "mask": "like_mask", "sample_weight": "weight"},
        {"name": "next_item", "kind": "next_item", "label": "next_item", "sample_weight": "weight"},
    ],
}
VOCABULARIES: Dict[str, List[Any]] = {
    "user_id": list(range(USERS)),
    "city": ["even", "odd"],
    "hour": list(range(24)),
    "item_id": list(range(ITEMS)),
    "genres": [f"genre {i}" for i in range(5)],
    "history_rating": [1, 2, 3, 4, 5],
}


def genres(item: int) -> List[str]:
    return [f"genre {i}" for i in range(item % 3)]


def row(user: int, past: List[int], item: int, time: int, newer: int = -1) -> Dict[str, Any]:
    return {
        "user_id": user,
        "city": "odd" if user % 2 else "even",
        "history": past[-4:],
        "history_rating": [1 + i % 5 for i in past[-4:]],
        "history_time": list(range(time - len(past[-4:]), time)),
        "hour": time % 24,
        "item_id": item,
        "genres": genres(item),
        "price": float(item),
        "click": 1.0,
        "like": float(item % 2),
        "like_mask": 1.0,
        "event_time": time,
        "newer_events": newer if past else -1,
    }


def events() -> Dict[str, List[Any]]:
    rows = []
    for user in range(USERS):
        met = list(range(ITEMS)) if user == USERS - 1 else [user * 3 + i for i in range(EVENTS)]
        rows += [row(user, met[:i], item, DAY * i, len(met) - 1 - i) for i, item in enumerate(met)]
    return columns(rows)


def columns(rows: List[Dict[str, Any]]) -> Dict[str, List[Any]]:
    return {name: [r[name] for r in rows] for name in rows[0]}


def item_columns() -> Dict[str, List[Any]]:
    items = list(range(ITEMS))
    return {
        "item_id": items,
        "genres": [genres(i) for i in items],
        "price": [float(i) for i in items],
        "train_count": [1 + i for i in items],
    }


def write(
    folder: Path, train: Any = None, schema: Any = None, positives_only: bool = True, row_group: int = GROUP
) -> Prepared:
    """The events, or other rows, and a validation part of one later event for each of two users."""
    later = columns([row(0, list(range(EVENTS)), 30, DAY * 60), row(1, list(range(3, 3 + EVENTS)), 31, DAY * 60)])
    return prepared_folder.write(
        folder,
        SCHEMA if schema is None else schema,
        {"train": events() if train is None else train, "validation": later},
        item_columns(),
        VOCABULARIES,
        row_group=row_group,
        positives_only=positives_only,
    )
