"""DeepFM: Guo et al., "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction", IJCAI 2017.

    p = sigmoid(y_FM + y_DNN)                                                    (eq. 1)
    y_FM = b + sum_f w_f x_f + sum_{f<g} <v_f, v_g> x_f x_g                      (eq. 2)
    y_DNN = MLP([v_1 x_1; ...; v_F x_F]), on the same v as the FM part           (eq. 3, 4)

Deviations: lists are fields of their mean vector, so pairs within one list are not counted; a number x is its value
times a field vector in both parts. The FM sum and the first dense layer are split by side, so that `rank` does the
user's once.
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
from pipeline.layers import joined
from pipeline.layers.activations import ActivationName
from pipeline.layers.fields import (
    ITEM_SIDES,
    USER_SIDES,
    Fields,
    by_side,
    embedded_columns,
    of_candidates,
    sides_of,
    trimmed,
    without_side_columns,
)
from pipeline.layers.mlp import SplitMlp, dropout_layer, logit_layer
from pipeline.models.specification import Config, ModelSpec
from pipeline.schema import Schema, Task
from pipeline.seeds import derive
from pipeline.tasks import only


class DeepFMConfig(Config):
    """Parameters of DeepFM. Widths in units."""

    embedding_width: int = pydantic.Field(16, ge=1)
    """Of a field vector v_f (d in the paper)."""
    embedding_dropout: float = pydantic.Field(0.0, ge=0, lt=1)
    """Share of the cells of the field vectors dropped in training, before both parts; not of those of numbers."""
    hidden_units: Tuple[int, ...] = pydantic.Field((256, 128), min_length=1)
    """Of the layers of y_DNN, the output layer aside."""
    activation: ActivationName = "relu"
    """Of those layers."""
    dropout: float = pydantic.Field(0.2, ge=0, lt=1)
    """Share of hidden units dropped in training."""


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
        sides = [side for side in by_side(space.schema, {f.name: f for f in space.schema.features}) if side]
        self.hidden = SplitMlp(
            config.hidden_units,
            len(sides),
            seed=derive(seed, "hidden"),
            activation=config.activation,
            dropout=config.dropout,
        )
        self.hidden.make_kernels([len(side) * width for side in sides])
        self.output_layer = logit_layer(seed=derive(seed, "output"), bias=False)

    def call(self, features: Tensors, training: bool = False) -> Dict[str, tf.Tensor]:
        """{task: logits float32 [B]} of encoded features [B, ...]."""
        sides = self._sides(trimmed(self._schema, features), training)
        deep = self.output_layer(self.hidden.of_products([side["hidden"] for side in sides], training=training))
        return {self._task: self._logit(sides, deep)}

    def rank(self, user: Tensors, item: Tensors) -> Dict[str, tf.Tensor]:
        """{task: logits float32 [B, N]}; user [B, ...], item [B, N, ...]."""
        return self.rank_parts(user, of_candidates(self.item_parts, item))

    def item_parts(self, item: Tensors) -> Tensors:
        """Of items [M, ...]: `hidden`, what they add to the first hidden layer, `total` and `alone`; see `_parts`."""
        return self._parts(item, index=-1)

    def rank_parts(self, user: Tensors, parts: Tensors) -> Dict[str, tf.Tensor]:
        """`rank` of candidates by their `item_parts`, [B, N, ...]."""
        sides = sides_of(self._schema, lambda: self._parts(user, index=0), parts)
        deep = self.output_layer(self.hidden.flat_output([side["hidden"] for side in sides]))
        return {self._task: self._logit(sides, deep)}

    def _parts(self, features: Tensors, index: int) -> Tensors:
        """What one side of a pair brings to its logit, float [M, ...]; `index` of the side's kernel.

        hidden [M, H], what it adds to the first hidden layer; total [M, D], its sum_f v_f; alone [M], its linear part
        less half of its sum_f |v_f|^2, so that |sum of all totals|^2 / 2 is all that the FM still lacks.
        """
        features = trimmed(self._schema, features)
        fields = self.fields.served(self.embeddings, features)
        linear = self.linear_fields.served(self.linear_embeddings, features)
        v, w = tf.concat(list(fields.values()), axis=-1), tf.add_n(list(linear.values()))[..., 0]
        total = tf.cast(tf.add_n(list(fields.values())), tf.float32)
        alone = tf.cast(w, tf.float32) - 0.5 * tf.reduce_sum(tf.square(tf.cast(v, tf.float32)), axis=-1)
        return {"hidden": self.hidden.product(v, index), "total": total, "alone": alone}

    def losses(self, batch: TrainingBatch, training: bool) -> Dict[str, tf.Tensor]:
        return losses.pointwise(self(batch.features, training=training), self._labels, batch)

    def _sides(self, features: Tensors, training: bool) -> List[Tensors]:
        """As `_parts`, of all sides that are present: what their fields add up to, the fields themselves never made."""
        found: List[Tensors] = []
        for names in (USER_SIDES, ITEM_SIDES):
            fields = joined.join(self.fields, self.embeddings, features, names)
            weights = joined.join(self.linear_fields, self.linear_embeddings, features, names)
            if fields is not None and weights is not None:
                if fields.vectors is not None:
                    fields = fields._replace(vectors=self._dropout(fields.vectors, training=training))
                linear = tf.cast(joined.total(weights), tf.float32)[..., 0]
                part = {"hidden": joined.product(fields, self.hidden.kernel(len(found)))}
                part["total"] = tf.cast(joined.total(fields), tf.float32)
                found.append({**part, "alone": linear - 0.5 * joined.squares(fields)})
        return found

    def _logit(self, sides: List[Tensors], deep: tf.Tensor) -> tf.Tensor:
        """`_parts` of all sides and y_DNN to the logit; |sum of all totals|^2 / 2 is what the FM still lacks."""
        total, alone = (sum(side[name] for side in sides) for name in ("total", "alone"))
        wide = alone + 0.5 * tf.reduce_sum(tf.square(total), axis=-1) + tf.cast(self.bias, tf.float32)
        return wide + tf.reshape(deep, tf.shape(wide))


def select(schema: Schema, config: DeepFMConfig) -> Tuple[Any, ...]:
    """Every feature, sequences without side columns."""
    return without_side_columns(schema)


SPEC = ModelSpec(
    summary="Factorization machine and MLP on shared field vectors (Guo et al., IJCAI 2017)",
    config=DeepFMConfig,
    build=DeepFM,
    select=select,
    signatures=("serving_default", "rank"),
    rows="pointwise",
)
