"""DeepFM: Guo et al., "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction", IJCAI 2017.

    p = sigmoid(y_FM + y_DNN)                                                    (eq. 1)
    y_FM = b + sum_f w_f x_f + sum_{f<g} <v_f, v_g> x_f x_g                      (eq. 2)
    y_DNN = MLP([v_1 x_1; ...; v_F x_F]), on the same v as the FM part           (eq. 3, 4)

Deviations: lists are fields of their mean vector, so pairs within one list are not counted; a number x is its value
times a field vector in both parts. The FM sum and the first dense layer are split by side, so that `rank` does the
user's once.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Tuple

import pydantic
import tensorflow as tf
import tf_keras as keras

from pipeline import losses
from pipeline.batches import TrainingBatch
from pipeline.embeddings import EmbeddingCollection
from pipeline.encoding import FeatureSpace, Tensors
from pipeline.layers.activations import ActivationName
from pipeline.layers.fields import Fields, by_side, candidate_axis, embedded_columns, trimmed, without_side_columns
from pipeline.layers.mlp import SplitMlp, dropout_layer, logit_layer
from pipeline.models.specification import Config, ModelSpec
from pipeline.schema import Task
from pipeline.seeds import derive
from pipeline.tasks import only


class DeepFMConfig(Config):
    """Parameters of DeepFM. Widths in units."""

    embedding_width: int = pydantic.Field(16, ge=1)
    """Of a field vector v_f (d in the paper)."""
    embedding_dropout: float = pydantic.Field(0.0, ge=0, lt=1)
    """Share of the cells of the field vectors dropped in training, before both parts."""
    hidden_units: Tuple[int, ...] = pydantic.Field((256, 128), min_length=1)
    """Of the layers of y_DNN, the output layer aside."""
    activation: ActivationName = "relu"
    """Of those layers."""
    dropout: float = pydantic.Field(0.2, ge=0, lt=1)
    """Share of hidden units dropped in training."""


class _Side(NamedTuple):
    """What one side brings: v [..., F*D], the fields one behind the other; total [..., D], their sum; linear [...]."""

    v: tf.Tensor
    total: tf.Tensor
    linear: tf.Tensor


class DeepFM(keras.Model):
    """One task; see the module."""

    def __init__(self, config: DeepFMConfig, space: FeatureSpace, tasks: Tuple[Task, ...], *, seed: int) -> None:
        super().__init__(name="deepfm")
        task = only(tasks, "deepfm")
        self._task, self._labels = task.name, {task.name: task.label}
        self._schema = space.schema
        columns, width = embedded_columns(space.schema), config.embedding_width
        self.embeddings = EmbeddingCollection(space, columns, width, seed=derive(seed, "v"))
        self.fields = Fields(space, width, seed=derive(seed, "v"))
        # The paper's w starts at zero: a random first-order weight is noise that nothing regularises.
        self.linear_embeddings = EmbeddingCollection(space, columns, 1, seed=derive(seed, "w"), deviation=0.0)
        self.linear_fields = Fields(space, 1, seed=derive(seed, "w"), deviation=0.0)
        self.bias = self.add_weight(name="bias", shape=(), initializer="zeros")
        self._dropout = dropout_layer(config.embedding_dropout, seed=derive(seed, "embedding dropout"))
        sides = sum(bool(side) for side in by_side(space.schema, {f.name: f for f in space.schema.features}))
        self.hidden = SplitMlp(
            config.hidden_units,
            sides,
            seed=derive(seed, "hidden"),
            activation=config.activation,
            dropout=config.dropout,
        )
        self.output_layer = logit_layer(seed=derive(seed, "output"), bias=False)

    def call(self, features: Tensors, training: bool = False) -> Dict[str, tf.Tensor]:
        """{task: logits float32 [B]} of encoded features [B, ...]."""
        return {self._task: self._logit(self._sides(features, training), training)}

    def rank(self, user: Tensors, item: Tensors) -> Dict[str, tf.Tensor]:
        """{task: logits float32 [B, N]}; user [B, ...], item [B, N, ...]."""
        shared = [_Side(*map(candidate_axis, side)) for side in self._sides(user, training=False)]
        return {self._task: self._logit([*shared, *self._sides(item, training=False)], training=False)}

    def losses(self, batch: TrainingBatch, training: bool) -> Dict[str, tf.Tensor]:
        return losses.pointwise(self(batch.features, training=training), self._labels, batch)

    def _sides(self, features: Tensors, training: bool) -> List[_Side]:
        """Of the user's side and of the item's, those that are present."""
        features = trimmed(self._schema, features)
        fields = by_side(self._schema, self.fields((self.embeddings(features), features)))
        linear = by_side(self._schema, self.linear_fields((self.linear_embeddings(features), features)))
        return [self._side(vectors, weights, training) for vectors, weights in zip(fields, linear) if vectors]

    def _side(self, fields: List[tf.Tensor], weights: List[tf.Tensor], training: bool) -> _Side:
        v = self._dropout(tf.concat(fields, axis=-1), training=training)
        total = tf.add_n(tf.split(v, len(fields), axis=-1))
        return _Side(v, total, tf.add_n(weights)[..., 0])

    def _logit(self, sides: List[_Side], training: bool) -> tf.Tensor:
        deep = self.output_layer(self.hidden([side.v for side in sides], training=training))[..., 0]
        linear = sum(tf.cast(side.linear, tf.float32) for side in sides)
        return linear + pairs(sides) + deep + tf.cast(self.bias, tf.float32)


def pairs(sides: List[_Side]) -> tf.Tensor:
    """sum_{f<g} <v_f, v_g> over the fields of all sides, float32 [...], as (|sum_f v_f|^2 - sum_f |v_f|^2) / 2."""
    total = sum(tf.cast(side.total, tf.float32) for side in sides)
    squares = sum(tf.reduce_sum(tf.square(tf.cast(side.v, tf.float32)), axis=-1) for side in sides)
    return 0.5 * (tf.reduce_sum(tf.square(total), axis=-1) - squares)


SPEC = ModelSpec(
    summary="Factorization machine and MLP on shared field vectors (Guo et al., IJCAI 2017)",
    config=DeepFMConfig,
    build=DeepFM,
    select=without_side_columns,
    signatures=("serving_default", "rank"),
    rows="pointwise",
)
