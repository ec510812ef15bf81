"""An inverted file in stock ops: the blocks that may hold a user's best items are scored exactly, the others are not.

A block is probed by <u, c> + 3 |u| s, with c the mean of its vectors and s their deviation per coordinate: a dot
product with a random vector of the block lies about |u| s around <u, c>, and the best of 64 some deviations above. The
vectors lie by block, so that a probe reads 64 neighbouring rows, and all users of a batch share one product with the
blocks that any of them probes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence, Tuple

import numpy as np
import tensorflow as tf

from pipeline.retrieval.clustering import CAPACITY, blocks
from pipeline.retrieval.top_k import LOWEST, top_k

_DEVIATIONS = 3.0


@dataclass(frozen=True)
class Blocks:
    """Places in blocks [n, CAPACITY] (-1 for none) and what probing knows of each."""

    lists: int
    places: np.ndarray
    centres: np.ndarray
    """Float32 [n, d]."""
    reach: np.ndarray
    """Float32 [n]: by how much, times a user's norm, the best of a block is taken to lie above its centre."""

    def worth(self, users: np.ndarray) -> np.ndarray:
        """What blocks are probed by, [U, n], of users [U, d]."""
        return users @ self.centres.T + np.linalg.norm(users, axis=1, keepdims=True) * self.reach

    def fewest_probes(self, users: np.ndarray, best: Sequence[np.ndarray], recall: float) -> int:
        """How many blocks must be probed for that recall of each of `best`: true best places [U, k] of users [U, d]."""
        owner = np.empty(self.places.max() + 1, np.int64)
        rows, columns = np.nonzero(self.places >= 0)
        owner[self.places[rows, columns]] = rows
        order = np.argsort(-self.worth(users), axis=1, kind="stable")
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.arange(len(self.places))[np.newaxis], axis=1)
        needed = [np.sort(np.take_along_axis(rank, owner[each], axis=1), axis=None) for each in best]
        return 1 + max(int(ranks[max(int(np.ceil(recall * len(ranks))) - 1, 0)]) for ranks in needed)


def cluster(vectors: np.ndarray, lists: int, seed: int) -> Blocks:
    """Blocks of vectors [M, d] by place, from so many k-means lists."""
    places = blocks(vectors, lists, seed)
    present = (places >= 0)[..., np.newaxis]
    counts = present.sum(axis=1)
    centres = np.zeros((len(places), vectors.shape[1]), np.float32)
    reach = np.zeros(len(places), np.float32)
    for start in range(0, len(places), 1024):  # all blocks at once would be the vectors twice again
        part = slice(start, start + 1024)
        rows = np.where(present[part], vectors[places[part]], 0.0)
        centres[part] = rows.sum(axis=1) / counts[part]
        away = np.where(present[part], rows - centres[part, np.newaxis], 0.0)
        reach[part] = _DEVIATIONS * np.sqrt((away**2).sum(axis=(1, 2)) / (counts[part, 0] * vectors.shape[1]))
    return Blocks(lists, places, centres, reach)


class InvertedFile(tf.Module):
    """Vectors [M, d] by place, in blocks of which `probes` are scored for each user, or all where there are fewer."""

    def __init__(self, vectors: np.ndarray, found: Blocks, probes: int) -> None:
        super().__init__(name="inverted_file")
        self.lists, self.probes = found.lists, min(probes, len(found.places))
        self._width = vectors.shape[1]
        rows = np.where((found.places >= 0)[..., np.newaxis], vectors[found.places], 0.0).astype(np.float32)
        # A block is one row: what is gathered is copied in one piece.
        self._vectors = _constant(rows.reshape(len(rows), -1), "vectors")
        self._places = _constant(np.maximum(found.places, 0).reshape(-1), "places")
        self._filled = _constant((found.places >= 0).sum(axis=1).astype(np.int32), "filled")
        self._centres, self._reach = _constant(found.centres, "centres"), _constant(found.reach, "reach")

    def search(self, users: tf.Tensor, width: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        """As `Index.search`; W is at most what the probed blocks have room for. A tie is in the order of the probes."""
        probed = self._probed(users)
        filled = tf.range(CAPACITY) < tf.gather(self._filled, probed)[..., tf.newaxis]
        room = self.probes * CAPACITY
        scores = tf.reshape(tf.where(filled, self._scores(users, probed), LOWEST), [-1, room])
        best, at = top_k(scores, tf.minimum(width, room), room)
        block = tf.gather(probed, at // CAPACITY, batch_dims=1)
        return best, tf.gather(self._places, block * CAPACITY + at % CAPACITY)

    def described(self) -> Mapping[str, Any]:
        return {"index": "inverted_file", "lists": self.lists, "probes": self.probes}

    def _probed(self, users: tf.Tensor) -> tf.Tensor:
        """The blocks of each user, int32 [B, probes]."""
        reach = tf.norm(users, axis=1, keepdims=True) * self._reach
        _, probed = tf.math.top_k(tf.matmul(users, self._centres, transpose_b=True) + reach, self.probes, sorted=False)
        return probed

    def _scores(self, users: tf.Tensor, probed: tf.Tensor) -> tf.Tensor:
        """Of every row of the probed blocks, [B, probes, CAPACITY]."""
        union, at = tf.unique(tf.reshape(probed, [-1]))
        rows = tf.reshape(tf.gather(self._vectors, union), [-1, self._width])
        scores = tf.matmul(users, rows, transpose_b=True)
        by_block = tf.reshape(scores, [tf.shape(users)[0], tf.size(union), CAPACITY])
        return tf.gather(by_block, tf.reshape(at, tf.shape(probed)), batch_dims=1)


def _constant(content: np.ndarray, name: str) -> tf.Variable:
    """A variable, as a constant would be part of the graph, which may not be larger than 2 GB."""
    return tf.Variable(content, trainable=False, name=f"catalogue_{name}")
