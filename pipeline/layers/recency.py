"""How old the events of a history are: by how many are newer, or by the time that passed until the newest.

Ages count from the history's newest event, so that nothing needs to be known about the moment of the request.
"""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

SECONDS_PER_DAY = 86_400.0


class PositionAddend(keras.layers.Layer):
    """A learned vector for each number of newer events, at most `maximum_length` - 1.

    Added to the sums of a layer, it is what that layer would make of an embedding of the position beside its input.
    """

    def __init__(self, units: int, maximum_length: int, *, seed: int) -> None:
        super().__init__(name="position_addend")
        self._last = maximum_length - 1
        start = keras.initializers.TruncatedNormal(stddev=0.02, seed=seed)
        self._table = self.add_weight(name="positions", shape=(maximum_length, units), initializer=start)

    def call(self, length: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
        """length int32 [B] and width L, a scalar, to [B, L, units]. Cells beyond the length mean nothing."""
        newer = length[:, tf.newaxis] - 1 - tf.range(width)
        return tf.gather(self._table, tf.clip_by_value(newer, 0, self._last))


class TimeDecay(keras.layers.Layer):
    """(1 + days)^-r with a learned r > 0: how much of an interest is left so many days before the newest event.

    A power of the time and not an exponential, which would forget either the last week or nothing of the last year.
    r starts at 0.05, so that a month takes 16 % at first.
    """

    def __init__(self) -> None:
        super().__init__(name="time_decay")
        # softplus(-2.97) is 0.05.
        self._rate = self.add_weight(name="rate", shape=(), initializer=keras.initializers.Constant(-2.97))

    def call(self, times: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """times int64 [B, L], Unix seconds, and length int32 [B] to [B, L]. Cells beyond the length mean nothing."""
        # A cell more, as there may be none: where every history of a batch is empty, L is 0.
        newest = tf.gather(tf.pad(times, [[0, 0], [0, 1]]), tf.maximum(length - 1, 0), axis=1, batch_dims=1)
        days = tf.cast(tf.maximum(newest[:, tf.newaxis] - times, 0), tf.float32) / SECONDS_PER_DAY
        return tf.exp(-tf.nn.softplus(tf.cast(self._rate, tf.float32)) * tf.math.log1p(days))
