"""Exact top-k of wide rows by the maxima of blocks: fewer cells are sorted, none is missed."""

from __future__ import annotations

from typing import Tuple

import numpy as np
import tensorflow as tf

LOWEST = float(np.finfo(np.float32).min)
"""The score of an empty place: strict JSON readers refuse -Infinity."""

BLOCK = 64
"""Cells of which one maximum is taken."""


def top_k(scores: tf.Tensor, k: tf.Tensor, size: int) -> Tuple[tf.Tensor, tf.Tensor]:
    """`tf.math.top_k` of the first `size` columns of scores [B, n * BLOCK]: values and int32 columns, both [B, k].

    Equal to it in every value and column; of equal scores, the lower column comes first. `k` is at most `size`. Columns
    from `size` on may hold anything but NaN; there are fewer than BLOCK of them.

    The k best blocks, by their maxima, hold the k best cells: a cell outside them has a cell of each before it. One
    block more is looked into, as cells behind `size` may push their own block forward.
    """
    blocks = tf.reshape(scores, [-1, scores.shape[1] // BLOCK, BLOCK])
    _, chosen = tf.math.top_k(tf.reduce_max(blocks, axis=2), tf.minimum(k + 1, blocks.shape[1]), sorted=False)
    chosen = tf.sort(chosen, axis=1)  # in the order of the columns, for ties
    columns = chosen[..., tf.newaxis] * BLOCK + tf.range(BLOCK)
    cells = tf.where(columns < size, tf.gather(blocks, chosen, batch_dims=1), LOWEST)
    width = tf.shape(chosen)[1] * BLOCK
    best, at = tf.math.top_k(tf.reshape(cells, [-1, width]), k)
    return best, tf.gather(tf.reshape(columns, [-1, width]), at, batch_dims=1)


def padded(rows: int) -> int:
    """The next multiple of BLOCK."""
    return -(-rows // BLOCK) * BLOCK
