"""The fields of one side as if one behind the other: what a concatenation would copy or multiply out is not made.

A number's field is x_f v_f. Of n numbers, the part of a dense layer is sum_f x_f (v_f W_f): a product with n rows in
the place of n D, in the pass forward and in both passes back.
"""

from __future__ import annotations

from typing import Any, Callable, List, NamedTuple, Optional, Tuple

import numpy as np
import tensorflow as tf

from pipeline.embeddings import EmbeddingCollection
from pipeline.encoding import Tensors
from pipeline.layers.fields import Fields, is_number
from pipeline.schema import Bag, Dense, Sequence


class Joined(NamedTuple):
    """F fields of width D. A field is a vector or a number; `places` say which of the F, in the schema's order."""

    width: int
    vectors: Optional[tf.Tensor]
    """[..., V * D]; None where there is none."""
    vector_places: Tuple[int, ...]
    numbers: Optional[tf.Tensor]
    """x [..., n]; None where there is none."""
    scales: Optional[tf.Tensor]
    """v [n, D], of the numbers."""
    number_places: Tuple[int, ...]


def join(fields: Fields, embeddings: EmbeddingCollection, encoded: Tensors, sides: Tuple[str, ...]) -> Optional[Joined]:
    """The fields of these sides that are present in encoded features [...]; None where none is."""
    present = [f for f in fields.features if f.name in encoded and f.side in sides]
    numbers = [f for f in present if is_number(f)]
    cells = [f for f in present if not isinstance(f, (Bag, Sequence, Dense)) and not is_number(f)]
    others = [f for f in present if isinstance(f, (Bag, Sequence, Dense))]
    if not present:
        return None
    parts = [embeddings.side_by_side(encoded, [f.name for f in cells])] if cells else []
    if others:
        asked = {column.name: encoded[column.name] for f in others for column in f.columns() if column.name in encoded}
        parts += list(fields((embeddings(asked), asked)).values())
    return Joined(
        fields.width,
        _joined(parts, lambda: tf.concat(parts, axis=-1)),
        tuple(present.index(f) for f in (*cells, *others)),
        _joined(numbers, lambda: tf.stack([tf.cast(encoded[f.name], fields.compute_dtype) for f in numbers], axis=-1)),
        _joined(numbers, lambda: fields.scales([f.name for f in numbers])),
        tuple(present.index(f) for f in numbers),
    )


def product(joined: Joined, kernel: tf.Tensor) -> tf.Tensor:
    """The concatenation [..., F * D] times kernel [F * D, H]: [..., H]."""
    units = int(kernel.shape[-1])
    by_field = tf.reshape(kernel, [-1, joined.width, units])
    found: List[tf.Tensor] = []
    if joined.vectors is not None:
        rows = tf.cast(_of_places(by_field, joined.vector_places), joined.vectors.dtype)
        found.append(_matmul(joined.vectors, tf.reshape(rows, [-1, units])))
    if joined.numbers is not None and joined.scales is not None:
        rows = tf.cast(_of_places(by_field, joined.number_places), joined.scales.dtype)
        found.append(_matmul(joined.numbers, tf.matmul(joined.scales[:, tf.newaxis], rows)[:, 0]))
    return tf.add_n(found)


def total(joined: Joined) -> tf.Tensor:
    """The sum of the fields, [..., D]."""
    found: List[tf.Tensor] = []
    if joined.vectors is not None:
        # A product with ones in the right places: to split and to add up takes three times as long.
        ones = np.tile(np.eye(joined.width), (len(joined.vector_places), 1))
        found.append(_matmul(joined.vectors, tf.constant(ones, joined.vectors.dtype)))
    if joined.numbers is not None:
        found.append(_matmul(joined.numbers, joined.scales))
    return tf.add_n(found)


def squares(joined: Joined) -> tf.Tensor:
    """The sum of the squares of all cells of all fields, float32 [...]."""
    found: List[tf.Tensor] = []
    if joined.vectors is not None:
        found.append(sum_of_squares(tf.cast(joined.vectors, tf.float32)))
    if joined.numbers is not None:
        lengths = tf.reduce_sum(tf.square(tf.cast(joined.scales, tf.float32)), axis=-1)
        found.append(_matmul(tf.square(tf.cast(joined.numbers, tf.float32)), lengths[:, tf.newaxis])[..., 0])
    return tf.add_n(found)


@tf.custom_gradient
def sum_of_squares(x: tf.Tensor) -> Tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Over the last axis: [..., D] to [...]. Its gradient is one pass over x; that of a sum of squares is four."""

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        return (2.0 * upstream)[..., tf.newaxis] * x

    return tf.reduce_sum(tf.square(x), axis=-1), gradient


def _joined(parts: List[Any], make: Callable[[], tf.Tensor]) -> Optional[tf.Tensor]:
    return make() if parts else None


def _of_places(by_field: tf.Tensor, places: Tuple[int, ...]) -> tf.Tensor:
    return by_field if places == tuple(range(by_field.shape[0])) else tf.gather(by_field, places)


def _matmul(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return tf.matmul(x, kernel) if x.shape.rank == 2 else tf.tensordot(x, kernel, 1)
