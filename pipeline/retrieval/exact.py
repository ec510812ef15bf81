"""The exact index: every score, and the top-k of them, in stock ops."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

import numpy as np
import tensorflow as tf

from pipeline.retrieval.top_k import padded, top_k


class ExactIndex(tf.Module):
    """Vectors [M, d] by place. Of equal scores, the lower place comes first."""

    def __init__(self, vectors: np.ndarray) -> None:
        super().__init__(name="exact")
        self._size = len(vectors)
        rows = np.zeros((padded(len(vectors)), vectors.shape[1]), np.float32)
        rows[: len(vectors)] = vectors
        self._vectors = tf.Variable(rows, trainable=False, name="catalogue_vectors")

    def search(self, users: tf.Tensor, width: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        """As `Index.search`; W is `width`."""
        return top_k(tf.matmul(users, self._vectors, transpose_b=True), width, self._size)

    def described(self) -> Mapping[str, Any]:
        return {"index": "exact"}
