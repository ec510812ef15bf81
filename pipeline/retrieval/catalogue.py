"""The items that are retrieved from: raw ids and places, whatever index searches their vectors."""

from __future__ import annotations

from typing import Any, Mapping, Protocol, Tuple

import numpy as np
import tensorflow as tf

from pipeline.retrieval.top_k import LOWEST


class Index(Protocol):
    """Searches the vectors of the items by dot product."""

    def search(self, users: tf.Tensor, width: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        """The best `width` (int32 scalar, at most M) items of users [B, d]: scores [B, W] falling, places [B, W] int32.

        W is `width`, or less where the index can hold no more. A place without an item scores LOWEST.
        """

    def described(self) -> Mapping[str, Any]:
        """What the manifest says of it, by field: `index`, and `lists` and `probes` where it has any."""


class Identities(tf.Module):
    """The raw ids [M], int64 or text, in the order of their keys; a place is a position in this order."""

    def __init__(self, ids: np.ndarray) -> None:
        super().__init__(name="identities")
        text = ids.dtype.kind not in "iu"
        raw = tf.constant(ids.tolist(), tf.string) if text else tf.constant(ids, tf.int64)
        self._empty = tf.constant("", tf.string) if text else tf.constant(-1, tf.int64)
        # Sorted by key, so that a binary search finds an id: a look-up table would be a second copy, inside the graph.
        keys = _keys(raw)
        order = tf.argsort(keys, stable=True)
        self._keys = tf.Variable(tf.gather(keys, order), trainable=False, name="catalogue_keys")
        self._ids = tf.Variable(tf.gather(raw, order), trainable=False, name="catalogue_ids")
        self.order: np.ndarray = order.numpy()
        """By place, the position that the item was given at, int32 [M]."""
        self.size = len(ids)

    def places(self, ids: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """Raw ids [B, E] of which the first `length` [B] count, to places [B, E] int32; M for all that is no item."""
        keys = _keys(ids)
        found = tf.reshape(tf.searchsorted(self._keys, tf.reshape(keys, [-1])), tf.shape(keys))
        known = tf.equal(tf.gather(self._keys, tf.minimum(found, self.size - 1)), keys)
        counts = tf.range(tf.shape(ids, tf.int64)[1]) < length[:, tf.newaxis]
        return tf.where(tf.logical_and(counts, known), found, self.size)

    def at(self, places: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
        """The raw ids at places, of that shape; -1 or "" where not `kept` (bool)."""
        # An empty place of an index may point behind the last item.
        return tf.where(kept, tf.gather(self._ids, tf.minimum(places, self.size - 1)), self._empty)


class Catalogue(tf.Module):
    """Items that an index finds; it was made of their vectors in the order of their places."""

    def __init__(self, identities: Identities, index: Index) -> None:
        super().__init__(name="catalogue")
        self.identities, self.index = identities, index

    def top(self, users: tf.Tensor, k: tf.Tensor, barred: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        """The best `k` [B] items of users [B, d] but those at `barred` [B, E] (places, or M for none): ids and scores.

        Both are [B, K], K the largest k but at most M. Places beyond a row's own k, or for which nothing is left or
        found, hold -1 or "" and the lowest finite float32. A tie is in the order of the index.
        """
        size = self.identities.size
        width = tf.clip_by_value(tf.reduce_max(tf.concat([k, [0]], 0)), 0, size)
        # So many more are asked for as the row with most exclusions has: then none of them can take a place.
        more = tf.reduce_sum(tf.cast(barred < size, tf.int32), axis=1)
        wanted = tf.minimum(width + tf.reduce_max(tf.concat([more, [0]], 0)), size)
        scores, places = self.index.search(users, wanted)
        scores = tf.where(_among(places, barred, size), LOWEST, tf.maximum(scores, LOWEST))
        missing = tf.maximum(width - tf.shape(scores)[1], 0)
        scores = tf.pad(scores, [[0, 0], [0, missing]], constant_values=LOWEST)
        best, at = tf.math.top_k(scores, width)
        kept = tf.logical_and(tf.range(width) < k[:, tf.newaxis], best > LOWEST)
        places = tf.gather(tf.pad(places, [[0, 0], [0, missing]]), at, batch_dims=1)
        return self.identities.at(places, kept), tf.where(kept, best, LOWEST)


def _among(places: tf.Tensor, barred: tf.Tensor, size: int) -> tf.Tensor:
    """bool [B, W]: is a place [B, W] among its row's barred ones [B, E]? By binary search, not by W times E cells."""
    # A last one that is no place, so that every search ends at a cell.
    ordered = tf.sort(tf.pad(barred, [[0, 0], [0, 1]], constant_values=size), axis=1)
    at = tf.raw_ops.LowerBound(sorted_inputs=ordered, values=tf.minimum(places, size - 1))
    return tf.equal(tf.gather(ordered, at, batch_dims=1), places)


def _keys(ids: tf.Tensor) -> tf.Tensor:
    """int64 keys of raw ids: integers as they are, strings by a hash so wide that a million of them do not collide."""
    return tf.strings.to_hash_bucket_fast(ids, 2**63 - 1) if ids.dtype == tf.string else ids
