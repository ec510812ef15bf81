"""DIN's local activation unit: how much each thing of a history counts, given the candidate."""

from __future__ import annotations

from typing import Optional, Sequence, Tuple

import tensorflow as tf
import tf_keras as keras

from pipeline.layers.activations import Activation, ActivationName
from pipeline.layers.mlp import Mlp, logit_layer
from pipeline.layers.pooling import valid_cells
from pipeline.layers.recency import PositionAddend
from pipeline.seeds import derive


class TargetAttention(keras.layers.Layer):
    """v(q) = sum_j a(k_j, q) k_j with a = MLP([k_j, q, q - k_j, k_j * q]), a scalar; with `softmax`, over the valid j.

    The first layer is never applied to the concatenation: with W = (W1; W2; W3; W4) for its parts, it is
    k (W1 - W3) + q (W2 + W3) + (k * q) W4, which takes three kernels and a third of the time. With
    `positions`, the most cells there can be, the MLP is told how many cells are newer than k_j too.
    """

    def __init__(
        self, units: Sequence[int], *, seed: int, activation: ActivationName, softmax: bool, positions: int = 0
    ) -> None:
        super().__init__(name="target_attention")
        self._units, self._seed, self._softmax = units[0], seed, softmax
        self._activation, self._is_sigmoid = Activation(activation), activation == "sigmoid"
        self._rest = Mlp(units[1:], seed=derive(seed, "rest"), activation=activation)
        self._output = logit_layer(seed=derive(seed, "output"))
        self._positions = PositionAddend(units[0], positions, seed=derive(seed, "positions")) if positions else None

    def build(self, shapes: Sequence[tf.TensorShape]) -> None:
        width = int(shapes[0][-1])
        # Glorot of the layer that is replaced, 4 D wide; the sum of two of its parts has sqrt(2) times its spread.
        limit = (6.0 / (4 * width + self._units)) ** 0.5
        self._key = self._kernel("key", width, limit * 2**0.5)
        self._query = self._kernel("query", width, limit * 2**0.5)
        self._product = self._kernel("product", width, limit)
        self._bias = self.add_weight(name="bias", shape=(self._units,), initializer="zeros")
        super().build(shapes)

    def call(
        self,
        inputs: Tuple[tf.Tensor, tf.Tensor, tf.Tensor],
        factor: Optional[tf.Tensor] = None,
        training: bool = False,
    ) -> tf.Tensor:
        """keys [B, L, D], length [B], and query [B, D] or, for N candidates, [B, N, D]. Returns the query's shape.

        0 where the history is empty. Cells beyond the length have no say, in the statistics of Dice neither. The weight
        of a cell is multiplied by its factor [B, L], if there is one.
        """
        keys, length, query = inputs
        valid = valid_cells(length, tf.shape(keys)[1])
        if query.shape.rank == 3:
            weights = self._weights(self._scores_of_candidates(keys, length, query), valid[:, tf.newaxis])
            weights = weights if factor is None else weights * factor[:, tf.newaxis]
            return tf.matmul(tf.cast(weights, keys.dtype), keys)
        weights = self._weights(self._scores_of_pairs(keys, length, query, valid, training), valid)
        weights = weights if factor is None else weights * factor
        return tf.matmul(tf.cast(weights, keys.dtype)[:, tf.newaxis], keys)[:, 0]

    def _scores_of_pairs(
        self, keys: tf.Tensor, length: tf.Tensor, query: tf.Tensor, valid: tf.Tensor, training: bool
    ) -> tf.Tensor:
        """a of every cell that is valid, float32 [B, L]; 0 elsewhere. What is padding is left out of every product.

        Two products, each a quarter of the plain layer's; what the query adds is done once a row.
        """
        shape = tf.shape(valid)
        place = tf.where(tf.reshape(valid, [-1]))
        row = place[:, 0] // tf.cast(shape[1], tf.int64)
        cells = tf.gather_nd(tf.reshape(keys, [-1, keys.shape[-1]]), place)
        product = tf.matmul(cells * tf.gather(query, row), self._product)
        first = [tf.matmul(cells, self._key), product, self._addends(length, query, place, row, shape)]
        hidden = self._rest(self._activation(tf.add_n(first), training=training), training=training)
        scores = self._output(hidden)[:, 0]
        return tf.reshape(tf.scatter_nd(place, scores, [tf.size(valid, tf.int64)]), shape)

    def _addends(
        self, length: tf.Tensor, query: tf.Tensor, place: tf.Tensor, row: tf.Tensor, shape: tf.Tensor
    ) -> tf.Tensor:
        """What query, bias and place add to the first layer of each valid cell, [n, H]."""
        of_query = tf.matmul(query, self._query) + self._bias
        if self._positions is None:
            return tf.gather(of_query, row)
        of_place = tf.broadcast_to(self._positions(length, shape[1]), [shape[0], shape[1], self._units])
        return tf.gather(of_query, row) + tf.gather_nd(tf.reshape(of_place, [-1, self._units]), place)

    def _scores_of_candidates(self, keys: tf.Tensor, length: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
        """a of every candidate and cell, float32 [B, N, L]."""
        shape = [tf.shape(keys)[0], tf.shape(query)[1], tf.shape(keys)[1]]
        if not self._is_sigmoid:
            first = tf.reshape(self._of_candidates(keys, length, query), [-1, self._units])
            return tf.reshape(self._output(self._rest(self._activation(first))), shape)
        # sigmoid(x) = (1 + tanh(x / 2)) / 2: on a CPU, tanh takes half the time, and its factors go into the kernels.
        waves = tf.tanh(tf.reshape(self._of_candidates(keys, length, query, scale=0.5), [-1, self._units]))
        return tf.reshape(self._rest.of_waves(waves, self._output), shape)

    def _weights(self, scores: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
        """a [..., L] to the weight of each cell, 0 where none is valid."""
        if not self._softmax:
            return tf.where(valid, scores, 0.0)
        return tf.where(valid, tf.nn.softmax(tf.where(valid, scores, tf.float32.min)), 0.0)

    def _of_candidates(self, keys: tf.Tensor, length: tf.Tensor, query: tf.Tensor, scale: float = 1.0) -> tf.Tensor:
        """`scale` times the first layer's sums [B, N, L * H]: the whole history folded into one kernel for all
        candidates, so that no pair has an addend.
        """
        product, of_query = tf.transpose(scale * self._product), tf.transpose(scale * self._query)
        constant = scale * (tf.tensordot(keys, self._key, 1) + self._addend(keys, length))
        # The constant is the kernel's last column, and meets a 1 behind each query.
        folded = keys[:, :, tf.newaxis] * product + of_query
        kernel = tf.concat([folded, constant[..., tf.newaxis]], axis=-1)
        kernel = tf.reshape(kernel, [tf.shape(keys)[0], tf.shape(keys)[1] * self._units, kernel.shape[-1]])
        return tf.matmul(tf.pad(query, [[0, 0], [0, 0], [0, 1]], constant_values=1), kernel, transpose_b=True)

    def _addend(self, keys: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """What the first layer adds whatever is in a cell, [H] or [B, L, H]."""
        if self._positions is None:
            return self._bias
        return self._positions(length, tf.shape(keys)[1]) + self._bias

    def _kernel(self, name: str, width: int, limit: float) -> tf.Variable:
        start = keras.initializers.RandomUniform(-limit, limit, seed=derive(self._seed, name))
        return self.add_weight(name=name, shape=(width, self._units), initializer=start)
