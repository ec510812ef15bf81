"""Two towers: Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", RecSys 2019.

    s(x, y) = <u(x), v(y)> / temperature,  u and v of length 1                   (eq. 1 and section 3)
    s^c(x_i, y_j) = s(x_i, y_j) - log p_j                                        (eq. 3)
    L_i = -r_i log( exp s^c(x_i, y_i) / sum_j exp s^c(x_i, y_j) )                (eq. 4, 5), j over the batch
    p_j by streaming estimate of the gap between sightings                      (algorithm 2, pipeline.layers.frequency)

The reward r_i is the label. Serving scores are s, without log p. Deviations: an item that stands in the batch again is no
negative of its own (accidental hits, told by embedding row); the user's list is pooled by a learned attention with recency, or
by its mean as in the paper. `user_embedding` is u / temperature, so that its dot product with `item_embedding` is the logit.
"""

from __future__ import annotations

from typing import Any, Dict, List, Literal, Tuple

import pydantic
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from pipeline.batches import TrainingBatch
from pipeline.embeddings import EmbeddingCollection
from pipeline.encoding import FeatureSpace, Tensors
from pipeline.layers.attention import AttentionPool
from pipeline.layers.fields import USER_SIDES, Fields, embedded_columns, without_side_columns
from pipeline.layers.frequency import Frequency
from pipeline.layers.mlp import Mlp
from pipeline.models.specification import Config, ModelSpec
from pipeline.schema import Schema, Sequence, Task
from pipeline.seeds import derive
from signatures.errors import UsageError


class TwoTowerConfig(Config):
    """Parameters of the two towers. Widths in units."""

    embedding_width: int = pydantic.Field(64, ge=1)
    """Of a feature's vector."""
    hidden_units: Tuple[int, ...] = (128,)
    """Of the hidden layers of either tower; none makes a tower linear."""
    output_width: int = pydantic.Field(64, ge=1)
    """Of u and v."""
    dropout: float = pydantic.Field(0.2, ge=0, lt=1)
    """Share of hidden units dropped in training."""
    temperature: float = pydantic.Field(0.07, gt=0)
    """What the cosine is divided by; smaller is sharper."""
    history_pooling: Literal["attention", "mean"] = "attention"
    """How the user's lists become one vector each."""
    correct_sampling: bool = True
    """Whether log p is subtracted in training."""
    frequency_rate: float = pydantic.Field(0.01, gt=0, lt=1)
    """a of the streaming estimate: larger forgets sooner."""


class Tower(keras.layers.Layer):
    """Vectors of one side to one vector of length 1."""

    def __init__(self, config: TwoTowerConfig, *, seed: int) -> None:
        super().__init__(name="tower")
        self._hidden = Mlp(config.hidden_units, seed=derive(seed, "hidden"), dropout=config.dropout)
        start = keras.initializers.GlorotUniform(seed=derive(seed, "output"))
        self._output = keras.layers.Dense(config.output_width, kernel_initializer=start)

    def call(self, fields: List[tf.Tensor], training: bool = False) -> tf.Tensor:
        """fields: [..., D] each; returns float32 [..., output_width]."""
        output = self._output(self._hidden(tf.concat(fields, axis=-1), training=training))
        return tf.math.l2_normalize(tf.cast(output, tf.float32), axis=-1)


class TwoTower(keras.Model):
    """One task; see the module."""

    def __init__(self, config: TwoTowerConfig, space: FeatureSpace, tasks: Tuple[Task, ...], *, seed: int) -> None:
        super().__init__(name="two_tower")
        self._task, self._label = tasks[0].name, tasks[0].label
        self._item, self._temperature = space.schema.roles.item, config.temperature
        self._columns = {
            side: tuple(column.name for part in sides for column in space.schema.columns(part))
            for side, sides in (("user", USER_SIDES), ("item", ("item",)))
        }
        width = config.embedding_width
        self.embeddings = EmbeddingCollection(space, embedded_columns(space.schema), width, seed=derive(seed, "v"))
        self.fields = Fields(space, width, seed=derive(seed, "v"))
        self._pools = _pools(space.schema, config, seed)
        self._tower = {side: Tower(config, seed=derive(seed, side)) for side in ("user", "item")}
        self._correct_sampling = config.correct_sampling
        if config.correct_sampling:
            self.frequency = Frequency(space.tables[self._item].rows, rate=config.frequency_rate)
        unreduced = keras.losses.CategoricalCrossentropy(from_logits=True, reduction=keras.losses.Reduction.NONE)
        self._retrieval = tfrs.tasks.Retrieval(loss=unreduced, temperature=config.temperature)

    def call(self, features: Tensors, training: bool = False) -> Dict[str, tf.Tensor]:
        """{task: logits [B]} of encoded features [B, ...]."""
        user, item = self._towers(features, training)
        return {self._task: tf.reduce_sum(user * item, axis=-1) / self._temperature}

    def rank(self, user: Tensors, item: Tensors) -> Dict[str, tf.Tensor]:
        """{task: logits [B, N]}; user [B, ...], item [B, N, ...]."""
        return {self._task: tf.einsum("bd,bnd->bn", self.user_embedding(user), self.item_embedding(item))}

    def user_embedding(self, features: Tensors, training: bool = False) -> tf.Tensor:
        """User and context features [B, ...] to u / temperature, [B, d]."""
        return self._side("user", self.embeddings(features), features, training) / self._temperature

    def item_embedding(self, features: Tensors, training: bool = False) -> tf.Tensor:
        """Item features [...] to v of length 1, [..., d]."""
        return self._side("item", self.embeddings(features), features, training)

    def losses(self, batch: TrainingBatch, training: bool) -> Dict[str, tf.Tensor]:
        """{task: r_i times the softmax cross-entropy of row i among the items of the batch, [B]}."""
        user, item = self._towers(batch.features, training)
        ids = batch.features[self._item]
        probability = None
        if self._correct_sampling:
            if training:
                self.frequency.update(ids)
            probability = self.frequency(ids)
        # `call`, not `__call__`, which casts the users alone where the precision is mixed. The mask stands for the task's own
        # removal of accidental hits, which adds a constant that float16 has no room for.
        entropy = self._retrieval.call(
            user, item, candidate_sampling_probability=probability, score_mask=is_candidate(ids)
        )
        reward = tf.cast(batch.labels[self._label], tf.float32)
        return {self._task: tf.where(reward > 0, reward * entropy, 0.0)}

    def _towers(self, features: Tensors, training: bool) -> Tuple[tf.Tensor, tf.Tensor]:
        vectors = self.embeddings(features)
        return tuple(self._side(side, vectors, features, training) for side in ("user", "item"))

    def _side(self, side: str, vectors: Tensors, features: Tensors, training: bool) -> tf.Tensor:
        """vectors by column; returns this side's tower, [..., d]."""
        encoded = {column: features[column] for column in self._columns[side]}
        plain = {column: cells for column, cells in encoded.items() if column not in self._pools}
        fields = list(self.fields((vectors, plain)).values())
        for name, pool in self._pools.items():
            if name in encoded:
                fields.append(pool((vectors[name], encoded[f"{name}_length"])))
        return self._tower[side](fields, training=training)


def is_candidate(ids: tf.Tensor) -> tf.Tensor:
    """ids [B] to bool [B, B]: true where the item of row j counts for row i: its own, and every item that is another."""
    other = tf.not_equal(ids[:, tf.newaxis], ids)
    return other | tf.eye(tf.shape(ids)[0], dtype=tf.bool)


def select(schema: Schema) -> Tuple[Any, ...]:
    """All features but those of the pair (side cross), which no tower of one side can read.

    Raises UsageError when there is no item feature to tell items apart by, or nothing to know of the user.
    """
    features = tuple(f for f in without_side_columns(schema) if f.side != "cross")
    if schema.roles.item not in [f.name for f in features]:
        raise UsageError(
            f"two_tower tells the items of a batch apart by roles.item, which is {schema.roles.item!r} and no feature of "
            f"schema {schema.name!r}; set roles.item to a feature of side item"
        )
    if not any(f.side in USER_SIDES for f in features):
        raise UsageError(f"schema {schema.name!r} has no user or context feature for two_tower's user tower; add one")
    return features


def _pools(schema: Schema, config: TwoTowerConfig, seed: int) -> Dict[str, AttentionPool]:
    """The layer of each list of the user's that is not simply averaged."""
    if config.history_pooling == "mean":
        return {}
    lists = [f for f in schema.features if isinstance(f, Sequence) and f.side in USER_SIDES]
    return {f.name: AttentionPool(f.maximum_length, seed=derive(seed, "pool", f.name)) for f in lists}


SPEC = ModelSpec(
    summary="Two towers, in-batch softmax with sampling-bias correction (Yi et al., RecSys 2019)",
    config=TwoTowerConfig,
    build=TwoTower,
    select=select,
    signatures=("serving_default", "rank", "user_embedding", "item_embedding", "retrieve"),
    rows="positives",
    score="similarity",
)
