"""Attention over a list with an explicit length: the transformer block of sequence models, and a learned pooling."""

from __future__ import annotations

from typing import Tuple

import tensorflow as tf
import tf_keras as keras

from pipeline.layers.mlp import dropout_layer
from pipeline.layers.pooling import valid_cells
from pipeline.seeds import derive

NORMALISATION_EPSILON = 1e-8
"""Of the layer normalisations. Keras' own 1e-3 is not small beside the variance of young embeddings."""

_UNSEEN = -1e9
"""Score of a cell that may not be looked at. Finite, as a row of -inf is NaN after softmax; scores are float32."""


class SelfAttention(keras.layers.Layer):
    """softmax(Q K^T / sqrt(d / heads)) V with Q, K, V = x W_Q, x W_K, x W_V; heads side by side, no output projection.

    No bias either: one of K would be cancelled by the softmax and never learn.
    """

    def __init__(self, width: int, heads: int, *, causal: bool, dropout: float, seed: int) -> None:
        if width % heads:
            raise ValueError(f"width is {width}, but {heads} heads of equal width need a multiple of {heads}")
        super().__init__(name="self_attention")
        self._heads, self._head_width, self._causal = heads, width // heads, causal
        self._query, self._key, self._value = (
            keras.layers.Dense(width, use_bias=False, kernel_initializer=_glorot(seed, name), name=name)
            for name in ("query", "key", "value")
        )
        self._dropout = dropout_layer(dropout, seed=derive(seed, "dropout"))

    def call(self, inputs: Tuple[tf.Tensor, tf.Tensor], training: bool = False) -> tf.Tensor:
        """x [B, L, D] and its length [B]; returns [B, L, D]. Cells at and after the length are seen by nobody."""
        x, length = inputs
        query, key, value = (self._split(dense(x)) for dense in (self._query, self._key, self._value))
        scores = tf.cast(tf.einsum("blhd,bmhd->bhlm", query, key), tf.float32) * self._head_width**-0.5
        seen = visible(length, tf.shape(x)[1], self._causal)[:, tf.newaxis]
        # The second mask is for a row that sees nothing: softmax makes it uniform over what it must not see.
        weights = tf.where(seen, tf.nn.softmax(tf.where(seen, scores, _UNSEEN)), 0.0)
        weights = tf.cast(self._dropout(weights, training=training), value.dtype)
        mixed = tf.einsum("bhlm,bmhd->blhd", weights, value)
        return tf.reshape(mixed, tf.shape(x))

    def _split(self, x: tf.Tensor) -> tf.Tensor:
        return tf.reshape(x, [tf.shape(x)[0], tf.shape(x)[1], self._heads, self._head_width])


class TransformerBlock(keras.layers.Layer):
    """x + Dropout(A(LN(x))), then x + Dropout(F(LN(x))), with F(y) = W_2 relu(W_1 y + b_1) + b_2 at every position.

    Normalised first, the residual taken from x itself: Kang & McAuley, "Self-Attentive Sequential Recommendation",
    ICDM 2018, III-B.
    """

    def __init__(self, width: int, heads: int, *, causal: bool, dropout: float, seed: int) -> None:
        super().__init__(name="transformer_block")
        self._attention_norm = normalisation()
        self._attention = SelfAttention(width, heads, causal=causal, dropout=dropout, seed=derive(seed, "attention"))
        self._forward_norm = normalisation()
        self._inner = keras.layers.Dense(width, activation="relu", kernel_initializer=_glorot(seed, "inner"))
        self._outer = keras.layers.Dense(width, kernel_initializer=_glorot(seed, "outer"))
        self._dropouts = [dropout_layer(dropout, seed=derive(seed, name)) for name in ("attended", "inner", "outer")]

    def call(self, inputs: Tuple[tf.Tensor, tf.Tensor], training: bool = False) -> tf.Tensor:
        """x [B, L, D] and its length [B]; returns [B, L, D], whose cells at and after the length mean nothing."""
        x, length = inputs
        attended, inner, outer = self._dropouts
        x += attended(self._attention((self._attention_norm(x), length), training=training), training=training)
        hidden = inner(self._inner(self._forward_norm(x)), training=training)
        return x + outer(self._outer(hidden), training=training)


class AttentionPool(keras.layers.Layer):
    """sum_t a_t x_t with a = softmax_t(w . tanh(W x_t + b) + r[n-1-t]): what a cell holds, and how long ago it was.

    r is learned, by the number of newer cells; all beyond `maximum_length` share its last.
    """

    def __init__(self, maximum_length: int, *, seed: int) -> None:
        super().__init__(name="attention_pool")
        self._maximum_length, self._seed = maximum_length, seed

    def build(self, shapes: Tuple[tf.TensorShape, tf.TensorShape]) -> None:
        width = int(shapes[0][-1])
        self._hidden = self.add_weight(name="hidden", shape=(width, width), initializer=_glorot(self._seed, "hidden"))
        self._bias = self.add_weight(name="bias", shape=(width,), initializer="zeros")
        self._score = self.add_weight(name="score", shape=(width, 1), initializer=_glorot(self._seed, "score"))
        self._recency = self.add_weight(name="recency", shape=(self._maximum_length,), initializer="zeros")
        super().build(shapes)

    def call(self, inputs: Tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """x [..., L, D] and its length [...]; returns [..., D], zeros where there is no cell."""
        x, length = inputs
        newer = length[..., tf.newaxis] - 1 - tf.range(tf.shape(x)[-2])
        recency = tf.gather(tf.convert_to_tensor(self._recency), tf.clip_by_value(newer, 0, self._maximum_length - 1))
        content = tf.tensordot(tf.tanh(tf.tensordot(x, self._hidden, 1) + self._bias), self._score, 1)[..., 0]
        seen = valid_cells(length, tf.shape(x)[-2])
        scores = tf.where(seen, tf.cast(content + recency, tf.float32), _UNSEEN)
        weights = tf.cast(tf.where(seen, tf.nn.softmax(scores), 0.0), x.dtype)
        return tf.reduce_sum(weights[..., tf.newaxis] * x, axis=-2)


def visible(length: tf.Tensor, width: tf.Tensor, causal: bool) -> tf.Tensor:
    """length [B] to bool [B, L or 1, L]: true where the position of axis 1 may look at the cell of axis 2."""
    valid = valid_cells(length, width)[:, tf.newaxis]
    if not causal:
        return valid
    steps = tf.range(width)
    return valid & (steps <= steps[:, tf.newaxis])


def normalisation() -> keras.layers.LayerNormalization:
    """Layer normalisation with the papers' epsilon."""
    return keras.layers.LayerNormalization(epsilon=NORMALISATION_EPSILON)


def _glorot(seed: int, name: str) -> keras.initializers.Initializer:
    return keras.initializers.GlorotUniform(seed=derive(seed, name))
