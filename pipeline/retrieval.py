"""Top-k over a catalogue in stock ops, exact: every model server can run it."""

from __future__ import annotations

from typing import Tuple

import numpy as np
import tensorflow as tf

LOWEST = float(np.finfo(np.float32).min)
"""The score of an empty place: strict JSON readers refuse -Infinity."""


class Catalogue(tf.Module):
    """The ids [M] of all items and their vectors [M, d]; a score is the dot product with the user's vector."""

    def __init__(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        super().__init__(name="catalogue")
        text = ids.dtype.kind not in "iu"
        raw = tf.constant(ids.tolist(), tf.string) if text else tf.constant(ids, tf.int64)
        self._empty = tf.constant("", tf.string) if text else tf.constant(-1, tf.int64)
        # Sorted by key, so that a binary search finds an id: a look-up table would be a second copy, inside the graph.
        keys = _keys(raw)
        order = tf.argsort(keys, stable=True)
        self._keys = tf.Variable(tf.gather(keys, order), trainable=False, name="catalogue_keys")
        self._ids = tf.Variable(tf.gather(raw, order), trainable=False, name="catalogue_ids")
        self._vectors = tf.Variable(
            tf.gather(tf.constant(vectors, tf.float32), order), trainable=False, name="catalogue_vectors"
        )
        self._size = len(ids)

    def barred(self, ids: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """Raw ids [B, E] of which the first `length` [B] count, to bool [B, M]: true for the items among them."""
        keys = _keys(ids)
        places = tf.searchsorted(self._keys, tf.reshape(keys, [-1]), out_type=tf.int64)
        places = tf.reshape(places, tf.shape(keys))
        known = tf.equal(tf.gather(self._keys, tf.minimum(places, self._size - 1)), keys)
        counts = tf.range(tf.shape(ids, tf.int64)[1]) < length[:, tf.newaxis]
        # What is unknown or beyond the length points at one place too many, which is cut off again.
        places = tf.where(tf.logical_and(counts, known), places, self._size)
        rows = tf.broadcast_to(tf.range(tf.shape(ids, tf.int64)[0])[:, tf.newaxis], tf.shape(places))
        marks = tf.scatter_nd(
            tf.stack([rows, places], axis=-1),
            tf.ones(tf.shape(places), tf.int32),
            tf.stack([tf.shape(ids, tf.int64)[0], self._size + 1]),
        )
        return marks[:, : self._size] > 0

    def top(self, users: tf.Tensor, k: tf.Tensor, barred: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        """The best `k` [B] items of users [B, d]: ids and scores [B, K], K the largest k but at most M.

        Places beyond a row's own k, or for which nothing is left, hold -1 or "" and the lowest finite float32.
        """
        scores = tf.matmul(users, self._vectors, transpose_b=True)
        scores = tf.where(barred, LOWEST, tf.maximum(scores, LOWEST))
        width = tf.clip_by_value(tf.reduce_max(tf.concat([k, [0]], 0)), 0, self._size)
        best, places = tf.math.top_k(scores, width)
        kept = tf.logical_and(tf.range(width) < k[:, tf.newaxis], best > LOWEST)
        return tf.where(kept, tf.gather(self._ids, places), self._empty), tf.where(kept, best, LOWEST)


def _keys(ids: tf.Tensor) -> tf.Tensor:
    """int64 keys of raw ids: integers as they are, strings by a hash so wide that a million of them do not collide."""
    return tf.strings.to_hash_bucket_fast(ids, 2**63 - 1) if ids.dtype == tf.string else ids
