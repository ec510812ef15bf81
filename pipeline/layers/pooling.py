"""Lists of vectors to one vector, by an explicit length."""

from __future__ import annotations

import tensorflow as tf


def valid_cells(length: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """length [...] int32 to bool [..., width]: true for cells before the length."""
    return tf.range(width) < length[..., tf.newaxis]


def without_padding(cells: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """cells [..., L] cut to the longest length [...] of the batch: columns that are padding in every row go."""
    return cells[..., : tf.reduce_max(length, keepdims=False)]


def sum_pool(vectors: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Sum of vectors [..., L, D] over the first `length` [...] cells; zeros where there is none."""
    valid = valid_cells(length, tf.shape(vectors)[-2])
    return tf.reduce_sum(tf.where(valid[..., tf.newaxis], vectors, 0.0), axis=-2)


def mean_pool(vectors: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Mean of vectors [..., L, D] over the first `length` [...] cells; zeros where there is none."""
    count = tf.cast(tf.maximum(length, 1), vectors.dtype)
    return sum_pool(vectors, length) / count[..., tf.newaxis]
