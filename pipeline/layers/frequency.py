"""Streaming estimate of how likely an id is to be in a batch: Yi et al., RecSys 2019, algorithm 2.

    at step t, for each id y of the batch:  B[y] <- (1 - a) B[y] + a (t - A[y]),  A[y] <- t;  p(y) = 1 / B[y]

Deviations: A and B are by embedding row, so nothing is hashed and nothing collides; a = max(rate, 1 / sightings), the
plain mean of the gaps while there are few, since from B = 0 a fixed rate needs some 1 / rate sightings to be of use; an
id that was never seen counts as seen once in all steps; B is kept within [1, LARGEST_GAP].
"""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

LARGEST_GAP = 1e6
"""tensorflow_recommenders clips probabilities at 1e-6, so a larger gap would change nothing."""


class Frequency(keras.layers.Layer):
    """State by row of an embedding table; none of it is trained."""

    def __init__(self, rows: int, *, rate: float) -> None:
        super().__init__(name="frequency")
        self._rate = rate
        fixed = {"initializer": "zeros", "trainable": False, "experimental_autocast": False}
        self.step = self.add_weight(name="step", shape=(), dtype=tf.int64, **fixed)
        self.sightings = self.add_weight(name="sightings", shape=(rows,), dtype=tf.int64, **fixed)
        self.last_step = self.add_weight(name="last_step", shape=(rows,), dtype=tf.int64, **fixed)
        self.mean_gap = self.add_weight(name="mean_gap", shape=(rows,), dtype=tf.float32, **fixed)

    def update(self, ids: tf.Tensor) -> None:
        """Counts one batch of int32 ids [B]. An id that stands in it twice is still one sighting."""
        step = self.step.assign_add(1)
        sightings = tf.gather(self.sightings, ids) + 1
        rate = tf.maximum(self._rate, 1.0 / tf.cast(sightings, tf.float32))
        gap = tf.cast(step - tf.gather(self.last_step, ids), tf.float32)
        mean_gap = (1.0 - rate) * tf.gather(self.mean_gap, ids) + rate * gap
        # All is worked out from the state before the batch, so duplicates write the same value twice.
        for state, value in ((self.sightings, sightings), (self.mean_gap, mean_gap)):
            state.scatter_update(tf.IndexedSlices(value, ids))
        self.last_step.scatter_update(tf.IndexedSlices(tf.fill(tf.shape(ids), step), ids))

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        """Probability, float32 in [1 / LARGEST_GAP, 1], that each of the ids [...] is in a batch."""
        known = tf.gather(self.sightings, ids) > 0
        gap = tf.where(known, tf.gather(self.mean_gap, ids), tf.cast(self.step, tf.float32))
        return 1.0 / tf.clip_by_value(gap, 1.0, LARGEST_GAP)
