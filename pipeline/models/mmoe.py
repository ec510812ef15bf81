"""MMoE: Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts", KDD 2018.

    y_k = tower_k(f_k(x)),  f_k(x) = sum_i g_k(x)_i E_i(x)                       (eq. 6)
    g_k(x) = softmax(W_k x), one linear gate for each task                       (eq. 7)

x is the concatenation of all field vectors. The first layer of each expert and every gate are split by side, so that
`rank` does the user's share once. Gates have no bias, as in the paper. Every expert, gate and tower has its own seed.
"""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import pydantic
import tensorflow as tf
import tf_keras as keras

from pipeline import losses
from pipeline.batches import TrainingBatch
from pipeline.embeddings import EmbeddingCollection
from pipeline.encoding import FeatureSpace, Tensors
from pipeline.layers.activations import ActivationName
from pipeline.layers.fields import (
    Fields,
    by_side,
    embedded_columns,
    of_candidates,
    sides_of,
    trimmed,
    without_side_columns,
)
from pipeline.layers.mlp import Mlp, SplitDense, SplitMlp, dropout_layer, logit_layer
from pipeline.models.specification import Config, ModelSpec
from pipeline.schema import Schema, Task
from pipeline.seeds import derive


class MMoEConfig(Config):
    """Parameters of MMoE. Widths in units."""

    embedding_width: int = pydantic.Field(16, ge=1)
    """Of every feature's vector."""
    embedding_dropout: float = pydantic.Field(0.0, ge=0, lt=1)
    """Share of the cells of x dropped in training."""
    experts: int = pydantic.Field(4, ge=1)
    """E_i, shared by all tasks. 1 makes the shared-bottom model, y_k = tower_k(E(x)) (Caruana, 1997): a gate over
    one expert is 1, whatever its weights, and these never learn."""
    expert_units: Tuple[int, ...] = pydantic.Field((128, 64), min_length=1)
    """Of the hidden layers of each expert; the last is the width of f_k."""
    tower_units: Tuple[int, ...] = (32,)
    """Of the hidden layers of each task's tower, the output layer aside."""
    activation: ActivationName = "relu"
    """Of experts and towers."""
    dropout: float = pydantic.Field(0.2, ge=0, lt=1)
    """Share of hidden units of experts and towers dropped in training; gates have none."""


class MMoE(keras.Model):
    """Any number of tasks; see the module."""

    def __init__(self, config: MMoEConfig, space: FeatureSpace, tasks: Tuple[Task, ...], *, seed: int) -> None:
        super().__init__(name="mmoe")
        self._schema = space.schema
        self._tasks = tuple(task.name for task in tasks)
        self._labels = {task.name: task.label for task in tasks}
        self.embeddings = EmbeddingCollection(
            space, embedded_columns(space.schema), config.embedding_width, seed=derive(seed, "x")
        )
        self.fields = Fields(space, config.embedding_width, seed=derive(seed, "x"))
        self._dropout = dropout_layer(config.embedding_dropout, seed=derive(seed, "embedding dropout"))
        sides = sum(bool(side) for side in by_side(space.schema, {f.name: f for f in space.schema.features}))
        self.experts = [_expert(config, sides, seed=derive(seed, "expert", i)) for i in range(config.experts)]
        self.gates = [SplitDense(config.experts, sides, seed=derive(seed, "gate", t), bias=False) for t in self._tasks]
        self.towers = [_tower(config, seed=derive(seed, "tower", t)) for t in self._tasks]
        self.output_layers = [logit_layer(seed=derive(seed, "output", t)) for t in self._tasks]

    def call(self, features: Tensors, training: bool = False) -> Dict[str, tf.Tensor]:
        """{task: logits float32 [B]} of encoded features [B, ...]."""
        return self._logits(self._sides(features, training), training)

    def rank(self, user: Tensors, item: Tensors) -> Dict[str, tf.Tensor]:
        """{task: logits float32 [B, N]}; user [B, ...], item [B, N, ...]."""
        return self.rank_parts(user, of_candidates(self.item_parts, item))

    def item_parts(self, item: Tensors) -> Tensors:
        """Of items [M, ...]: what they add to each expert's first layer and to each gate, [M, units] and [M, E]."""
        return self._parts(item, index=-1)

    def rank_parts(self, user: Tensors, parts: Tensors) -> Dict[str, tf.Tensor]:
        """`rank` of candidates by their `item_parts`, [B, N, ...]."""
        sides = sides_of(self._schema, lambda: self._parts(user, index=0), parts)
        experts = [
            expert.flat_output([side[f"expert_{place}"] for side in sides]) for place, expert in enumerate(self.experts)
        ]
        shape = tf.shape(parts["expert_0"])[:2]
        logits = {}
        for task, gate, tower, output in zip(self._tasks, self.gates, self.towers, self.output_layers):
            gated = gate.combine([side[f"gate_{task}"] for side in sides])
            mixture = tf.split(tf.reshape(_softmax(gated), [-1, len(experts)]), len(experts), axis=-1)
            # One by one, because stacking the experts would copy them.
            mixed = tf.add_n([tf.cast(g, expert.dtype) * expert for g, expert in zip(mixture, experts)])
            logits[task] = tf.reshape(output(tower(mixed)), shape)
        return logits

    def _parts(self, features: Tensors, index: int) -> Tensors:
        """What one side [M, ...] adds to the first layers of experts and gates; `index` of the side's kernels."""
        fields = self.fields.served(self.embeddings, trimmed(self._schema, features))
        x = tf.concat(list(fields.values()), axis=-1)
        experts = {f"expert_{place}": expert.product(x, index) for place, expert in enumerate(self.experts)}
        return {**experts, **{f"gate_{task}": gate.product(x, index) for task, gate in zip(self._tasks, self.gates)}}

    def losses(self, batch: TrainingBatch, training: bool) -> Dict[str, tf.Tensor]:
        return losses.pointwise(self(batch.features, training=training), self._labels, batch)

    def mixtures(self, features: Tensors) -> Dict[str, tf.Tensor]:
        """{task: g_k, float32 [B, experts]}: how much each expert counts, to see whether experts have collapsed."""
        sides = self._sides(features, training=False)
        return {task: self._mixture(gate, sides) for task, gate in zip(self._tasks, self.gates)}

    def _sides(self, features: Tensors, training: bool) -> List[tf.Tensor]:
        """x [..., F*D] of the user's side and of the item's, those that are present."""
        features = trimmed(self._schema, features)
        fields = by_side(self._schema, self.fields((self.embeddings(features), features)))
        return [self._dropout(tf.concat(side, axis=-1), training=training) for side in fields if side]

    def _mixture(self, gate: SplitDense, sides: List[tf.Tensor]) -> tf.Tensor:
        return _softmax(gate(sides))

    def _logits(self, sides: List[tf.Tensor], training: bool) -> Dict[str, tf.Tensor]:
        experts = tf.stack([expert(sides, training=training) for expert in self.experts], axis=-2)
        logits = {}
        for task, gate, tower, output in zip(self._tasks, self.gates, self.towers, self.output_layers):
            mixture = tf.cast(self._mixture(gate, sides), experts.dtype)
            mixed = tf.reduce_sum(mixture[..., tf.newaxis] * experts, axis=-2)
            logits[task] = output(tower(mixed, training=training))[..., 0]
        return logits


def _softmax(gated: tf.Tensor) -> tf.Tensor:
    """[..., experts], float32: in float16 the weights of many experts no longer sum to 1."""
    gated = tf.cast(gated, tf.float32)
    # Op by op: over a handful of experts, the fused softmax takes four times as long.
    powers = tf.exp(gated - tf.reduce_max(gated, axis=-1, keepdims=True))
    return powers / tf.reduce_sum(powers, axis=-1, keepdims=True)


def _expert(config: MMoEConfig, sides: int, *, seed: int) -> SplitMlp:
    return SplitMlp(config.expert_units, sides, seed=seed, activation=config.activation, dropout=config.dropout)


def _tower(config: MMoEConfig, *, seed: int) -> Mlp:
    return Mlp(config.tower_units, seed=seed, activation=config.activation, dropout=config.dropout)


def select(schema: Schema, config: MMoEConfig) -> Tuple[Any, ...]:
    """Every feature, sequences without side columns."""
    return without_side_columns(schema)


SPEC = ModelSpec(
    summary="Experts mixed by a gate for each task (Ma et al., KDD 2018)",
    config=MMoEConfig,
    build=MMoE,
    select=select,
    signatures=("serving_default", "rank"),
    rows="pointwise",
)
