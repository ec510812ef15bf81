"""What both sides are given, made from a seed with numpy alone, as the peers' environment has no Signet.

Ids count from 1, as 0 is padding to the peers. They fall like 1 / rank, as they do in logs.
"""

from __future__ import annotations

from typing import Dict, Tuple

import numpy as np

Arrays = Dict[str, np.ndarray]

ID_FIELDS, NUMBER_FIELDS = 26, 13
"""Of the Criteo set."""
HISTORY = 50
"""Cells of a history at most."""
USER = ("items", "categories", "candidates", "history")
"""The settings that `one_user` and `tiled_user` take, in their order."""


def ids(generator: np.random.Generator, count: int, shape: Tuple[int, ...]) -> np.ndarray:
    """int64 from 1 to count."""
    ranks = np.exp(generator.uniform(0.0, np.log(count + 1), shape)).astype(np.int64)
    return np.minimum(ranks, count)


def criteo(rows: int, batch: int, batches: int) -> Tuple[Arrays, np.ndarray]:
    """Fields `id_0`... int32 and `number_0`... float32 [batches, batch], and clicks float32 of that shape.

    `rows` are the ids of all fields together.
    """
    generator = np.random.default_rng(1)
    shape = (batches, batch)
    fields = {f"id_{f}": ids(generator, rows // ID_FIELDS, shape).astype(np.int32) for f in range(ID_FIELDS)}
    for place in range(NUMBER_FIELDS):
        fields[f"number_{place}"] = generator.normal(size=shape).astype(np.float32)
    return fields, generator.integers(0, 2, shape).astype(np.float32)


def histories(items: int, categories: int, batch: int, batches: int) -> Tuple[Arrays, np.ndarray]:
    """`item_id` and `category_id` int32 [batches, batch]; `hist_item_id`, `hist_category_id` [batches, batch, HISTORY]
    and `hist_length` [batches, batch], 1 to HISTORY; 0 behind the length. And clicks float32 [batches, batch]."""
    generator = np.random.default_rng(2)
    shape = (batches, batch)
    item, cells = ids(generator, items, shape), ids(generator, items, (*shape, HISTORY))
    length = generator.integers(1, HISTORY + 1, shape)
    present = np.arange(HISTORY) < length[..., np.newaxis]
    found = {
        "item_id": item,
        "category_id": category(item, categories),
        "hist_item_id": np.where(present, cells, 0),
        "hist_category_id": np.where(present, category(cells, categories), 0),
        "hist_length": length,
    }
    clicks = generator.integers(0, 2, shape).astype(np.float32)
    return {name: column.astype(np.int32) for name, column in found.items()}, clicks


def category(item: np.ndarray, categories: int) -> np.ndarray:
    """Of an item, 1 to categories."""
    return 1 + item % categories


def one_user(items: int, categories: int, candidates: int, length: int) -> Arrays:
    """A user with a history and some candidates: `item_id`, `category_id` int64 [candidates]; `hist_item_id`,
    `hist_category_id` int64 [length]."""
    generator = np.random.default_rng(3)
    item, cells = ids(generator, items, (candidates,)), ids(generator, items, (length,))
    return {
        "item_id": item,
        "category_id": category(item, categories),
        "hist_item_id": cells,
        "hist_category_id": category(cells, categories),
    }


def one_user_fields(rows: int, candidates: int) -> Arrays:
    """A user and some candidates with 13 fields each: `user_0`... int64 [] and `item_0`... int64 [candidates]."""
    generator = np.random.default_rng(4)
    each = rows // ID_FIELDS
    user = {f"user_{place}": ids(generator, each, ()) for place in range(ID_FIELDS // 2)}
    return {**user, **{f"item_{place}": ids(generator, each, (candidates,)) for place in range(ID_FIELDS // 2)}}


def tiled_user(items: int, categories: int, candidates: int, length: int) -> Arrays:
    """The request of `one_user` with a row of every input for each candidate [candidates, ...], histories padded."""
    asked = one_user(items, categories, candidates, length)
    rows = {name: asked[name][:, np.newaxis] for name in ("item_id", "category_id")}
    for name in ("hist_item_id", "hist_category_id"):
        rows[name] = np.tile(np.pad(asked[name], (0, HISTORY - length)), (candidates, 1))
    return {**rows, "hist_length": np.full((candidates, 1), length, np.int32)}


def tiled_user_fields(rows: int, candidates: int) -> Arrays:
    """The request of `one_user_fields` with the user's fields repeated in every row [candidates, 1]."""
    asked = one_user_fields(rows, candidates)
    return {name: np.broadcast_to(cells, (candidates,)).copy()[:, np.newaxis] for name, cells in asked.items()}


def films(users: int, items: int, batch: int, batches: int) -> Arrays:
    """Who saw what, shaped as MovieLens-100K: int32 [batches, batch] of `user_id`, `occupation`, `item_id`, `year`."""
    generator = np.random.default_rng(5)
    user, item = ids(generator, users, (batches, batch)), ids(generator, items, (batches, batch))
    found = {"user_id": user, "occupation": category(user, 21), "item_id": item, "year": category(item, 71)}
    return {name: column.astype(np.int32) for name, column in found.items()}


def vectors(count: int, width: int, seed: int, clusters: int = 2000) -> np.ndarray:
    """float32 [count, width] as embeddings are: in clusters, with few strong directions, of many lengths.

    The clusters are the same for every seed, so that queries come from where the items are.
    """
    world, generator = np.random.default_rng(6), np.random.default_rng((7, seed))
    spectrum = ((1.0 + np.arange(width)) ** -0.5).astype(np.float32)
    # Turned, so that the strong directions are no coordinates.
    turn = np.linalg.qr(world.normal(size=(width, width)))[0].astype(np.float32)
    centres = world.standard_normal((clusters, width), dtype=np.float32)
    drawn = 0.7 * generator.standard_normal((count, width), dtype=np.float32)
    drawn += centres[generator.integers(0, clusters, count)]
    lengths = generator.lognormal(0.0, 0.3, (count, 1)).astype(np.float32)
    return np.asarray((drawn * spectrum * lengths) @ turn, np.float32)
