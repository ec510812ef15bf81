"""Models as they are commonly built, to hold `rank` against: the same function of the same variables, in more steps.

The first layer of DIN's attention is one product with [k, q, q - k, k * q], a first hidden layer one product with the
concatenation of all fields, DeepFM's fields are stacked for its pairs, and histories are computed as they are padded.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib import import_module
from typing import Any, Iterator, Mapping, Sequence
from unittest import mock

import numpy as np
import tensorflow as tf

from pipeline.encoding import Tensors
from pipeline.inference import InferenceSignature
from pipeline.layers.fields import by_side
from pipeline.layers.mlp import SplitDense
from pipeline.layers.target_attention import TargetAttention
from pipeline.models import registry
from pipeline.models.deepfm import DeepFM


def commonly_built(signature: InferenceSignature) -> InferenceSignature:
    """The same signature, named `common`, of the model in its common form."""

    def function(raw: Mapping[str, tf.Tensor]) -> Tensors:
        with _common_forms():
            return signature.function(raw)

    return replace(signature, name="common", function=function)


def plain_attention(
    layer: Any, keys: tf.Tensor, length: tf.Tensor, query: tf.Tensor, valid: tf.Tensor, training: bool
) -> tf.Tensor:
    """`TargetAttention`'s a [B, L] of every cell, its first layer one product with [k, q, q - k, k * q], W3 being 0."""
    queries = tf.broadcast_to(query[:, tf.newaxis], tf.shape(keys))
    whole = tf.concat([keys, queries, queries - keys, keys * queries], axis=-1)
    kernel = _fixed([layer._key, layer._query, np.zeros(layer._key.shape, np.float32), layer._product])
    first = tf.tensordot(whole, kernel, 1) + layer._addend(keys, length)
    hidden = layer._rest(layer._activation(tf.reshape(first, [-1, layer._units])))
    return tf.reshape(layer._output(hidden), tf.shape(valid))


def one_product(layer: Any, parts: Sequence[tf.Tensor]) -> tf.Tensor:
    """`SplitDense` on the concatenation of its parts [B, D_p]."""
    sums = tf.matmul(tf.concat(parts, axis=-1), _fixed(layer._kernels))
    return layer._activation(sums if layer._bias is None else tf.nn.bias_add(sums, layer._bias))


def plain_deepfm(model: DeepFM, features: Tensors, training: bool = False) -> Tensors:
    """`DeepFM.call` with every field made, stacked for the FM and concatenated for the MLP."""
    sides = by_side(model._schema, model.fields((model.embeddings(features), features)))
    weights = model.linear_fields((model.linear_embeddings(features), features))
    fields = [field for side in sides for field in side]
    v = tf.stack(fields, axis=1)
    square_of_sum = tf.square(tf.reduce_sum(v, axis=1))
    pairs = 0.5 * tf.reduce_sum(square_of_sum - tf.reduce_sum(tf.square(v), axis=1), axis=-1)
    sums = tf.matmul(tf.concat(fields, axis=-1), _fixed(model.hidden._first._kernels))
    deep = model.output_layer(model.hidden.of_products([sums]))[:, 0]
    return {model._task: model.bias + tf.add_n(list(weights.values()))[:, 0] + pairs + deep}


def _fixed(kernels: Sequence[Any]) -> tf.Tensor:
    """One kernel of several, as a constant: whoever builds a model so has one variable, and no concatenation."""
    with tf.init_scope():
        return tf.constant(np.concatenate([tf.convert_to_tensor(kernel).numpy() for kernel in kernels]))


@contextmanager
def _common_forms() -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(TargetAttention, "_scores_of_pairs", plain_attention))
        stack.enter_context(mock.patch.object(SplitDense, "call", one_product))
        stack.enter_context(mock.patch.object(DeepFM, "call", plain_deepfm))
        for name in registry.NAMES:
            module = import_module(f"pipeline.models.{name}")
            stack.enter_context(mock.patch.object(module, "trimmed", lambda schema, encoded: encoded))
        yield
