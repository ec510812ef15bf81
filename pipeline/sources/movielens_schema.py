"""What a MovieLens row means; the synthetic set means the same."""

from __future__ import annotations

from typing import Any, Dict, Tuple

from pipeline.schema import Schema, parse

MAXIMUM_HISTORY = 50
LIKED = 4
"""Ratings from here on are likes."""

GENRES = (
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
"""Without "unknown", which says what an empty list says."""


FEATURES: Tuple[Dict[str, Any], ...] = (
    {"name": "user_id", "kind": "categorical", "side": "user"},
    {
        "name": "age",
        "kind": "numeric",
        "side": "user",
        "transform": "bucketise",
        "boundaries": [18, 25, 35, 45, 50, 56],
    },
    {"name": "gender", "kind": "categorical", "side": "user", "dtype": "string"},
    {"name": "occupation", "kind": "categorical", "side": "user", "dtype": "string"},
    {
        "name": "history",
        "kind": "sequence",
        "side": "user",
        "shares": "item_id",
        "maximum_length": MAXIMUM_HISTORY,
        "side_sequences": [{"name": "history_rating"}],
        "times": "history_time",
    },
    {"name": "hour", "kind": "categorical", "side": "context"},
    {"name": "weekday", "kind": "categorical", "side": "context"},
    {"name": "item_id", "kind": "categorical", "side": "item"},
    {"name": "genres", "kind": "bag", "side": "item", "dtype": "string", "maximum_length": 6},
    {
        "name": "release_year",
        "kind": "numeric",
        "side": "item",
        "transform": "bucketise",
        "boundaries": [1940, 1955, 1965, 1975, 1985, 1990, 1993, 1995, 1996, 1997, 1998],
    },
)
"""What is known of a user, a film and a moment, as a schema file would say it."""


def schema(name: str) -> Schema:
    """The schema of the data set of this name."""
    content = {
        "name": name,
        "features": FEATURES,
        "labels": [{"name": "click"}, {"name": "like"}, {"name": "next_item"}],
        "masks": [{"name": "like_mask"}],
        "sample_weights": [{"name": "weight"}],
        "tasks": [
            {"name": "click", "label": "click", "sample_weight": "weight"},
            {"name": "like", "label": "like", "mask": "like_mask", "sample_weight": "weight"},
            {"name": "next_item", "kind": "next_item", "label": "next_item", "sample_weight": "weight"},
        ],
        "roles": {"user": "user_id", "item": "item_id", "time": "timestamp"},
    }
    return parse(content, f"schema of {name}")
