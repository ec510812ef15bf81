"""Lists of vectors to one vector, by an explicit length."""

from __future__ import annotations

import tensorflow as tf


def valid_cells(length: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """length [...] int32 to bool [..., width]: true for cells before the length."""
    return tf.range(width) < length[..., tf.newaxis]


def without_padding(cells: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """cells [..., L] cut to the longest length [...] of the batch: columns that are padding in every row go."""
    return cells[..., : tf.reduce_max(length, keepdims=False)]


def mean_of_rows(table: tf.Tensor, ids: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """`mean_pool` of the rows ids [M, L] of a small table [V, D]. For serving: it has no gradient.

    How often each row occurs, times the table: no vector is copied for a cell.
    """
    rows = tf.shape(table)[0]
    # The op passes over values that are not below `size`.
    counted = tf.where(valid_cells(length, tf.shape(ids)[1]), ids, rows)
    counts = tf.raw_ops.DenseBincount(input=counted, size=rows, weights=tf.zeros([0]))
    share = counts / tf.cast(tf.maximum(length, 1), counts.dtype)[:, tf.newaxis]
    return tf.matmul(tf.cast(share, table.dtype), table)


def mean_pool(vectors: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Mean of finite vectors [..., L, D] over the first `length` [...] cells; zeros where there is none."""
    valid = valid_cells(length, tf.shape(vectors)[-2])
    count = tf.cast(tf.maximum(length, 1), vectors.dtype)
    weights = tf.cast(valid, vectors.dtype) / count[..., tf.newaxis]
    # As a product of matrices, it takes less than half the time of choosing the cells and adding them up.
    return tf.squeeze(tf.matmul(weights[..., tf.newaxis, :], vectors), axis=-2)
