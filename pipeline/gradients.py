"""What concerns all gradients of a step together, of variables and of the rows of tables: their norm, overflow."""

from __future__ import annotations

from typing import Any, List, Optional, Sequence, Tuple

import tensorflow as tf

from pipeline.row_updates import RowGradient, distinct

Rows = Sequence[Optional[RowGradient]]


def clip(gradients: Sequence[Any], rows: Rows, norm: float) -> Tuple[List[Any], Rows]:
    """Scales all of them so that their norm together is at most `norm`.

    An id that a batch holds twice counts with the sum of its gradients, which is what is applied; the norm that
    tf.clip_by_global_norm takes of IndexedSlices counts it twice.
    """
    values = [_values(each) for each in gradients if each is not None]
    values += [each.values for each in rows if each is not None]
    total = tf.sqrt(tf.add_n([tf.reduce_sum(tf.square(each)) for each in values]))
    scale = norm / tf.maximum(total, norm)
    scaled = [None if each is None else _scaled(each, scale) for each in gradients]
    return scaled, [None if each is None else RowGradient(each.rows, each.values * scale) for each in rows]


def all_finite(gradients: Sequence[Any], rows: Rows) -> tf.Tensor:
    """bool scalar: false when any number is infinite or NaN."""
    values = [each.values if isinstance(each, tf.IndexedSlices) else each for each in gradients if each is not None]
    values += [each.values for each in rows if each is not None]
    return tf.reduce_all(tf.stack([tf.reduce_all(tf.math.is_finite(each)) for each in values]))


def _values(gradient: Any) -> tf.Tensor:
    return distinct(gradient).values if isinstance(gradient, tf.IndexedSlices) else tf.cast(gradient, tf.float32)


def _scaled(gradient: Any, scale: tf.Tensor) -> Any:
    if isinstance(gradient, tf.IndexedSlices):
        values = gradient.values * tf.cast(scale, gradient.values.dtype)
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    return gradient * tf.cast(scale, gradient.dtype)
