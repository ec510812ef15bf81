"""Dice: the data-adaptive activation of Zhou et al., "Deep Interest Network", KDD 2018, eq. 9."""

from __future__ import annotations

from typing import Optional, Tuple

import tensorflow as tf
import tf_keras as keras

EPSILON = 1e-8
MOMENTUM = 0.99


class Dice(keras.layers.Layer):
    """f(s) = p s + (1 - p) alpha s with p = sigmoid((s - E[s]) / sqrt(Var[s] + eps)), per unit; alpha is learned.

    In training E and Var are those of the batch, elsewhere their moving averages. Always float32: eps is 0 in float16.
    """

    def __init__(self) -> None:
        super().__init__(name="dice", dtype="float32")

    def build(self, shape: tf.TensorShape) -> None:
        units = (int(shape[-1]),)
        self._alpha = self.add_weight(name="alpha", shape=units, initializer="zeros")
        self._mean = self.add_weight(name="mean", shape=units, initializer="zeros", trainable=False)
        self._variance = self.add_weight(name="variance", shape=units, initializer="ones", trainable=False)
        self._updates = self.add_weight(name="updates", shape=(), initializer="zeros", trainable=False)
        super().build(shape)

    def call(self, s: tf.Tensor, valid: Optional[tf.Tensor] = None, training: bool = False) -> tf.Tensor:
        """s [..., units]; valid bool [...]: the cells that count in the statistics, else all do."""
        mean, variance = self._observe(s, valid) if training else (self._mean, self._variance)
        # p = (1 + tanh(z / 2)) / 2: on a CPU, tanh takes half the time of the sigmoid.
        half = 0.5 * tf.math.rsqrt(variance + EPSILON)
        wave = tf.tanh(s * half - mean * half)
        return s * (0.5 * (1.0 + self._alpha) + 0.5 * (1.0 - self._alpha) * wave)

    def _observe(self, s: tf.Tensor, valid: Optional[tf.Tensor]) -> Tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance per unit over the valid cells of the batch, after adding them to the moving averages."""
        mean, variance, count = moments(s, valid)
        updates = self._updates + tf.cast(count > 0, tf.float32)
        # A plain mean over the first steps: a slow average that starts at 0 and 1 is wrong for hundreds of them.
        rate = tf.maximum(1.0 - MOMENTUM, 1.0 / tf.maximum(updates, 1.0)) * tf.cast(count > 0, tf.float32)
        self._mean.assign_add(rate * (mean - self._mean))
        self._variance.assign_add(rate * (variance - self._variance))
        self._updates.assign(updates)
        return mean, variance


def moments(s: tf.Tensor, valid: Optional[tf.Tensor]) -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Mean and variance [units] of s [..., units] over the true cells of valid [...], and their count []; 0 if none."""
    axes = list(range(s.shape.rank - 1))
    if valid is None:
        mean, variance = tf.nn.moments(s, axes)
        return mean, variance, tf.cast(tf.reduce_prod(tf.shape(s)[:-1]), s.dtype)
    weights = tf.cast(valid, s.dtype)[..., tf.newaxis]
    count = tf.reduce_sum(weights)
    share = weights / tf.maximum(count, 1.0)
    mean = tf.reduce_sum(share * s, axes)
    # Two passes: E[s^2] - E[s]^2 loses every digit in float32 when the mean is large.
    variance = tf.reduce_sum(share * tf.square(s - mean), axes)
    return mean, variance, count
