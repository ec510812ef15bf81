"""DIN's local activation unit: how much each thing of a history counts, given the candidate."""

from __future__ import annotations

from typing import Sequence, Tuple

import tensorflow as tf
import tf_keras as keras

from pipeline.layers.activations import Activation, ActivationName
from pipeline.layers.mlp import Mlp, logit_layer
from pipeline.layers.pooling import valid_cells
from pipeline.seeds import derive


class TargetAttention(keras.layers.Layer):
    """v(q) = sum_j a(k_j, q) k_j with a = MLP([k_j, q, q - k_j, k_j * q]), a scalar; with `softmax`, over the valid j.

    The first layer is never applied to the concatenation: with W = (W1; W2; W3; W4) for its parts, it is
    k (W1 - W3) + q (W2 + W3) + (k * q) W4, which takes three kernels and a third of the time.
    """

    def __init__(self, units: Sequence[int], *, seed: int, activation: ActivationName, softmax: bool) -> None:
        super().__init__(name="target_attention")
        self._units, self._seed, self._softmax = units[0], seed, softmax
        self._activation = Activation(activation)
        self._rest = Mlp(units[1:], seed=derive(seed, "rest"), activation=activation)
        self._output = logit_layer(seed=derive(seed, "output"))

    def build(self, shapes: Sequence[tf.TensorShape]) -> None:
        width = int(shapes[0][-1])
        # Glorot of the layer that is replaced, 4 D wide; the sum of two of its parts has sqrt(2) times its spread.
        limit = (6.0 / (4 * width + self._units)) ** 0.5
        self._key = self._kernel("key", width, limit * 2**0.5)
        self._query = self._kernel("query", width, limit * 2**0.5)
        self._product = self._kernel("product", width, limit)
        self._bias = self.add_weight(name="bias", shape=(self._units,), initializer="zeros")
        super().build(shapes)

    def call(self, inputs: Tuple[tf.Tensor, tf.Tensor, tf.Tensor], training: bool = False) -> tf.Tensor:
        """keys [B, L, D], length [B], and query [B, D] or, for N candidates, [B, N, D]. Returns the query's shape.

        0 where the history is empty. Cells beyond the length have no say, in the statistics of Dice neither.
        """
        keys, length, query = inputs
        first = self._of_pairs(keys, query) if query.shape.rank == 2 else self._of_candidates(keys, query)
        valid = valid_cells(length, tf.shape(keys)[1])
        if query.shape.rank == 3:
            valid = valid[:, tf.newaxis]
        weights = tf.cast(self._weights(first, valid, training), keys.dtype)
        if query.shape.rank == 3:
            return tf.matmul(weights, keys)
        return tf.matmul(weights[:, tf.newaxis], keys)[:, 0]

    def _weights(self, first: tf.Tensor, valid: tf.Tensor, training: bool) -> tf.Tensor:
        """The first layer's sums [..., L, H] and the valid cells [..., L] to the weight of each, float32 [..., L]."""
        # Flat, because a product of matrices is faster and its bias and activation are fused into it.
        flat = tf.reshape(first, [-1, self._units])
        counted = tf.reshape(valid, [-1]) if training else None
        hidden = self._rest(self._activation(flat, valid=counted, training=training), valid=counted, training=training)
        scores = tf.reshape(self._output(hidden), tf.shape(first)[:-1])
        if not self._softmax:
            return tf.where(valid, scores, 0.0)
        return tf.where(valid, tf.nn.softmax(tf.where(valid, scores, tf.float32.min)), 0.0)

    def _of_pairs(self, keys: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
        """[B, L, H]: two products, each a quarter of the plain layer's; what the query adds is done once a row."""
        product = tf.tensordot(keys * query[:, tf.newaxis], self._product, 1)
        constant = tf.matmul(query, self._query) + self._bias
        return tf.tensordot(keys, self._key, 1) + product + constant[:, tf.newaxis]

    def _of_candidates(self, keys: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
        """[B, N, L, H]: the whole history folded into one kernel for all candidates, so that no pair has an addend."""
        batch, length, candidates = tf.shape(keys)[0], tf.shape(keys)[1], tf.shape(query)[1]
        folded = keys[:, :, tf.newaxis] * tf.transpose(self._product) + tf.transpose(self._query)
        constant = tf.tensordot(keys, self._key, 1) + self._bias
        # The constant is the kernel's last column, and meets a 1 behind each query.
        kernel = tf.concat([folded, constant[..., tf.newaxis]], axis=-1)
        kernel = tf.reshape(kernel, [batch, length * self._units, kernel.shape[-1]])
        sums = tf.matmul(tf.pad(query, [[0, 0], [0, 0], [0, 1]], constant_values=1), kernel, transpose_b=True)
        return tf.reshape(sums, [batch, candidates, length, self._units])

    def _kernel(self, name: str, width: int, limit: float) -> tf.Variable:
        start = keras.initializers.RandomUniform(-limit, limit, seed=derive(self._seed, name))
        return self.add_weight(name=name, shape=(width, self._units), initializer=start)
