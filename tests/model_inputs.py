"""A small feature space with every kind of feature, and random encoded features for it: for tests of single models."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
import tensorflow as tf

from pipeline.encoding import FeatureSpace, Table, Tensors
from pipeline.models import registry
from pipeline.schema import Schema, parse

FEATURES: List[Dict[str, Any]] = [
    {"name": "user_id", "side": "user", "kind": "categorical"},
    {"name": "hour", "side": "context", "kind": "categorical"},
    {"name": "income", "side": "user", "kind": "numeric"},
    {"name": "item_id", "side": "item", "kind": "categorical"},
    {"name": "genres", "side": "item", "kind": "bag", "dtype": "string", "maximum_length": 4},
    {"name": "price", "side": "item", "kind": "numeric"},
    {"name": "image", "side": "item", "kind": "dense", "width": 3},
    {"name": "distance", "side": "cross", "kind": "numeric"},
    {
        "name": "history",
        "side": "user",
        "kind": "sequence",
        "shares": "item_id",
        "side_sequences": [
            {"name": "history_rating"},
            {"name": "history_genre", "dtype": "string", "shares": "genres"},
        ],
        "times": "history_time",
    },
]
ROWS = {"user_id": 11, "hour": 26, "item_id": 13, "genres": 9, "history_rating": 7}
LONGEST = 6
"""Cells of every list."""


def schema(names: Sequence[str] = ()) -> Schema:
    """The schema, of these features only where some are named."""
    kept = [feature for feature in FEATURES if not names or feature["name"] in names]
    content = {
        "name": "small",
        "features": kept,
        "labels": [{"name": "click"}, {"name": "like"}],
        "tasks": [{"name": "click", "label": "click"}, {"name": "like", "label": "like"}],
    }
    return parse(content, "test")


def build(
    model: str, parameters: Dict[str, Any], tasks: Tuple[str, ...] = ("click",), names: Sequence[str] = ()
) -> Any:
    """The model of this name over the features it selects, made from seed 1."""
    spec, whole = registry.load(model), schema(names)
    config = spec.config(**parameters)
    selected = whole.select(spec.select(whole, config), tasks)
    return spec.build(config, space(selected), selected.tasks, seed=1)


def space(selected: Schema) -> FeatureSpace:
    tables: Dict[str, Table] = {}
    for feature in selected.features:
        for part in (feature, *getattr(feature, "side_sequences", ())):
            owner = getattr(part, "shares", None) or part.name
            if owner in ROWS:
                tables[part.name] = Table(owner, ROWS[owner])
    return FeatureSpace(selected, tables)


def cells(selected: Schema, examples: int, sides: Tuple[str, ...], candidates: Tuple[int, ...] = ()) -> Tensors:
    """Random encoded features of these sides, [B, ...]; those of item and cross are [B, N, ...] for N candidates.

    Lists have every length from 0 to LONGEST, with random ids, not zeros, in the padding.
    """
    random = np.random.default_rng(3)
    found: Tensors = {}
    for feature in selected.features:
        front = (examples, *(candidates if feature.side in ("item", "cross") else ()))
        for column in feature.columns() if feature.side in sides else ():
            if column.role == "length":
                found[column.name] = tf.constant(np.resize(np.arange(LONGEST, -1, -1), front), tf.int32)
            elif column.dtype == "float32":
                found[column.name] = tf.constant(
                    random.normal(size=front + tuple(axis or 0 for axis in column.shape)), tf.float32
                )
            elif column.name == getattr(feature, "times", None):
                # Up to ten days apart, in no order.
                found[column.name] = tf.constant(random.integers(0, 864_000, (*front, LONGEST)), tf.int64)
            else:
                shape = (*front, LONGEST) if column.shape else front
                rows = space(selected).tables[column.name].rows
                found[column.name] = tf.constant(random.integers(0, rows, shape), tf.int32)
    return found


def features(model: Any, examples: int) -> Tensors:
    """Random features of all sides, [B, ...], for a model that was built here."""
    return cells(schema_of(model), examples, ("user", "context", "item", "cross"))


def schema_of(model: Any) -> Schema:
    found: Schema = model.fields.space.schema
    return found


def shake(model: Any) -> None:
    """Sets every trainable weight at random, large enough that a wrong one shows in the fifth digit."""
    random = np.random.default_rng(4)
    for variable in model.trainable_variables:
        variable.assign(random.normal(scale=0.5, size=variable.shape))


def ranked_and_tiled(model: Any, examples: int, candidates: int) -> Tuple[Dict[str, np.ndarray], Dict[str, np.ndarray]]:
    """{task: [B, N]} of `rank`, and of the model itself on every pair of user and candidate."""
    user = cells(schema_of(model), examples, ("user", "context"))
    item = cells(schema_of(model), examples, ("item", "cross"), (candidates,))
    tiled = {name: tf.repeat(cell, candidates, axis=0) for name, cell in user.items()}
    tiled.update({name: tf.reshape(cell, [-1, *cell.shape[2:]]) for name, cell in item.items()})
    ranked = {task: z.numpy() for task, z in model.rank(user, item).items()}
    called = {task: z.numpy().reshape(examples, candidates) for task, z in model(tiled).items()}
    return ranked, called
