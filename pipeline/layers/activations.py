"""Activations by name, learned ones included."""

from __future__ import annotations

from typing import Any, Dict, Literal

import tensorflow as tf
import tf_keras as keras

from pipeline.layers.dice import Dice

ActivationName = Literal["relu", "sigmoid", "tanh", "prelu", "dice"]


class Prelu(keras.layers.Layer):
    """f(s) = s where s > 0 and alpha s elsewhere; alpha is learned per unit, over any number of leading axes."""

    def __init__(self) -> None:
        super().__init__(name="prelu")

    def build(self, shape: tf.TensorShape) -> None:
        start = keras.initializers.Constant(0.25)
        self._alpha = self.add_weight(name="alpha", shape=(int(shape[-1]),), initializer=start)
        super().build(shape)

    def call(self, s: tf.Tensor) -> tf.Tensor:
        return tf.maximum(s, 0.0) + self._alpha * tf.minimum(s, 0.0)


class Activation(keras.layers.Layer):
    """The activation of this name; see `ActivationName`."""

    def __init__(self, name: ActivationName) -> None:
        super().__init__(name="activation")
        learned: Dict[str, Any] = {"prelu": Prelu, "dice": Dice}
        self._function: Any = learned[name]() if name in learned else keras.activations.get(name)

    def call(self, s: tf.Tensor, training: bool = False) -> tf.Tensor:
        """s [..., units]; with Dice, every cell counts in the statistics of the batch."""
        if isinstance(self._function, Dice):
            return self._function(s, training=training)
        return self._function(s)
