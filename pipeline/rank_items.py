"""What `rank_items` holds of a catalogue: candidates come as ids alone, all else that `rank` wants of them is here.

Where the tables stay small, they hold what the model made of each item (`item_parts`): a candidate then costs one row
of each. Else they hold the item's encoded features, and the model's item side is done for each request.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

import numpy as np
import tensorflow as tf

from pipeline.builder import Built
from pipeline.encoding import OUT_OF_VOCABULARY, Tensors
from pipeline.items import ItemTable
from pipeline.layers.fields import of_candidates
from pipeline.retrieval.catalogue import Identities
from pipeline.rows import Rows, take
from pipeline.schema import Categorical, Column, Schema

LARGEST_PARTS = 256 << 20
"""Bytes of the parts of all items; of more, encoded features are held instead."""
_AT_ONCE = 4096


def item_of(schema: Schema) -> Optional[Categorical]:
    """The feature that names a candidate; None where ids are not enough: cross features are of each pair."""
    item = next((feature for feature in schema.features if feature.name == schema.roles.item), None)
    if not isinstance(item, Categorical) or item.side != "item" or schema.columns("cross"):
        return None
    return item


def described(schema: Schema, items: ItemTable, ids: np.ndarray) -> Rows:
    """The raw item side [B, N, ...] that `rank_items` takes raw ids [B, N] for, as inputs of `rank`."""
    # Position -1, of an id that is no item, is the last row: nothing.
    found = take(_with_nothing(schema, items), items.index(ids))
    return {**found, str(schema.roles.item): ids}


class HeldItems(tf.Module):
    """The item side of a catalogue of M items, as of when this was made; two more rows for ids that are not in it.

    An id that is unknown counts as an item out of vocabulary without any other feature, -1 or "" as no item at all.
    """

    def __init__(self, built: Built, items: ItemTable) -> None:
        super().__init__(name="held_items")
        self._model, self._encoder = built.model, built.encoder
        item = item_of(built.schema)
        if item is None:
            raise ValueError(f"items of schema {built.schema.name!r} should be told by their id alone")
        self._item = item
        self._identities = Identities(items.ids)
        encoded = _encoded(built, items, item, self._identities.order)
        example = self._model.item_parts({name: cells[:1] for name, cells in encoded.items()})
        self._dtypes = {name: part.dtype for name, part in example.items()}
        cells = sum(int(np.prod(part.shape[1:])) for part in example.values())
        # A hash differs from one unknown id to the next, so there is no row that stands for all of them.
        self.holds_parts = item.hash_buckets is None and 4 * cells * len(items.ids) <= LARGEST_PARTS
        held = _parts(self._model, encoded) if self.holds_parts else encoded
        if not self.holds_parts:
            held.pop(item.name)
        self._tables = {
            name: tf.Variable(table, trainable=False, name=f"held_item_{name}") for name, table in held.items()
        }

    def rank(self, user: Tensors, ids: tf.Tensor) -> Dict[str, tf.Tensor]:
        """{task: logits [B, N]} of encoded user and context features [B, ...] and raw item ids [B, N]."""
        rows = self._rows(ids)
        # Gathering from the variable itself reads the rows asked for; from its value, it may copy the table.
        held = {name: tf.gather(table, rows) for name, table in self._tables.items()}
        if self.holds_parts:
            parts = {name: tf.cast(part, self._dtypes[name]) for name, part in held.items()}
            logits: Dict[str, tf.Tensor] = self._model.rank_parts(user, parts)
            return logits
        encoded = {**held, self._item.name: self._encoder.ids(self._item, ids)}
        logits = self._model.rank_parts(user, of_candidates(self._model.item_parts, encoded))
        return logits

    def _rows(self, ids: tf.Tensor) -> tf.Tensor:
        """Rows of the tables, int32 of the ids' shape: M for an id that is unknown, M + 1 for one that is missing."""
        rows = self._identities.places(ids, tf.fill([tf.shape(ids)[0]], tf.shape(ids, tf.int64)[1]))
        # A catalogue whose table has a row without an id knows "nothing" as an item of its own.
        unknown = tf.equal(rows, self._identities.size)
        missing = tf.equal(ids, "" if ids.dtype == tf.string else tf.constant(-1, tf.int64))
        return rows + tf.cast(tf.logical_and(unknown, missing), tf.int32)


def _encoded(built: Built, items: ItemTable, item: Categorical, order: np.ndarray) -> Dict[str, np.ndarray]:
    """The encoded item side of all items in this order; behind them the unknown and the missing one: [M + 2, ...]."""
    size, columns = len(items.ids), built.schema.columns("item")
    raw = take(_with_nothing(built.schema, items), np.concatenate([order, [size, size]]))
    found: Dict[str, List[np.ndarray]] = {}
    for start in range(0, size + 2, _AT_ONCE):
        tensors = {c.name: _raw(raw[c.name][start : start + _AT_ONCE], c.dtype) for c in columns}
        for name, cells in built.encoder(tensors).items():
            found.setdefault(name, []).append(cells.numpy())
    encoded = {name: np.concatenate(cells) for name, cells in found.items()}
    encoded[item.name][size] = OUT_OF_VOCABULARY
    return encoded


def _with_nothing(schema: Schema, items: ItemTable) -> Rows:
    """The raw item side of all items and, in the last row, of none: [M + 1, ...]."""
    found: Rows = {}
    for column in schema.columns("item"):
        cells = items.rows[column.name]
        nothing = np.full((1, *cells.shape[1:]), _missing(column), cells.dtype)
        found[column.name] = np.concatenate([cells, nothing])
    return found


def _parts(model: Any, encoded: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """What the model makes of them, float32 [M + 2, ...]."""
    make = tf.function(model.item_parts, autograph=False, reduce_retracing=True)
    found: Dict[str, List[np.ndarray]] = {}
    for start in range(0, len(next(iter(encoded.values()))), _AT_ONCE):
        rows = {name: tf.constant(cells[start : start + _AT_ONCE]) for name, cells in encoded.items()}
        for name, part in make(rows).items():
            found.setdefault(name, []).append(tf.cast(part, tf.float32).numpy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _raw(cells: np.ndarray, dtype: str) -> tf.Tensor:
    # tf.constant reads an object array of no cells as float64, which it then refuses to call text.
    return tf.constant(cells.astype(str) if dtype == "string" and not cells.size else cells, tf.as_dtype(dtype))


def _missing(column: Column) -> Any:
    """What stands for no value in a raw column."""
    if column.role == "length":
        return 0
    return {"string": "", "int64": -1, "float32": np.nan}[column.dtype]
