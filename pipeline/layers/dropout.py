"""Dropout that a resumed run repeats."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras


class Dropout(keras.layers.Layer):
    """In training, sets the share `rate` of cells to 0 and scales the others by 1 / (1 - rate).

    The draw depends on the seed and on a count that is a variable, so a checkpoint restores it. (Keras' own layer keeps
    its state out of checkpoints, even with `force_generator`.)
    """

    def __init__(self, rate: float, *, seed: int) -> None:
        super().__init__(name="dropout")
        self._rate, self._seed = rate, seed
        self._draws = self.add_weight(name="draws", shape=(), dtype=tf.int64, initializer="zeros", trainable=False)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """x [...], any shape; the same x outside training."""
        if not training or self._rate == 0:
            return x
        seed = tf.stack([tf.constant(self._seed, tf.int64), self._draws.assign_add(1)])
        kept = tf.random.stateless_uniform(tf.shape(x), seed) >= self._rate
        return tf.where(kept, x / (1.0 - self._rate), 0.0)
