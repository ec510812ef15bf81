"""Two towers: Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", RecSys 2019.

    s(x, y) = <u(x), v(y)> / temperature,  u and v of length 1                   (eq. 1 and section 3)
    s^c(x_i, y_j) = s(x_i, y_j) - log p_j                                        (eq. 3)
    L_i = -r_i log( exp s^c(x_i, y_i) / sum_j exp s^c(x_i, y_j) )                (eq. 4, 5), j over the batch
    p_j by streaming estimate of the gap between sightings                      (algorithm 2, pipeline.layers.frequency)

The reward r_i is the label. Serving scores are s, without log p. Deviations: an item that stands in the batch again is
no negative of itself (accidental hits, told by embedding row); the user's lists are pooled by a learned attention with
recency, or by their mean as in the paper. `user_embedding` is u / temperature, so that its dot product with
`item_embedding` is the logit.
"""

from __future__ import annotations

from typing import Any, Dict, List, Literal, Optional, Tuple

import pydantic
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from pipeline.batches import TrainingBatch
from pipeline.embeddings import EmbeddingCollection
from pipeline.encoding import FeatureSpace, Tensors
from pipeline.layers.attention import AttentionPool
from pipeline.layers.fields import (
    USER_SIDES,
    Fields,
    by_side,
    embedded_columns,
    of_candidates,
    trimmed,
    without_side_columns,
)
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
    temperature: float = pydantic.Field(0.1, gt=0)
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
        self._schema, self._task, self._label = space.schema, tasks[0].name, tasks[0].label
        self._item = str(space.schema.roles.item)
        columns, width = embedded_columns(space.schema), config.embedding_width
        # Vectors of length 1 or so: of a tiny output, normalisation makes a gradient that is as much too large.
        deviation = width**-0.5
        self.embeddings = EmbeddingCollection(space, columns, width, seed=derive(seed, "v"), deviation=deviation)
        self._pools = _pools(space.schema, config, seed)
        pooled = tuple(self._pools)
        self.fields = Fields(space, width, seed=derive(seed, "v"), deviation=deviation, leave_out=pooled)
        self._user_tower = Tower(config, seed=derive(seed, "user"))
        self._item_tower = Tower(config, seed=derive(seed, "item"))
        self._temperature = config.temperature
        self._frequency = None
        if config.correct_sampling:
            self._frequency = Frequency(space.tables[self._item].rows, rate=config.frequency_rate)
        unreduced = keras.losses.CategoricalCrossentropy(from_logits=True, reduction=keras.losses.Reduction.NONE)
        self._retrieval = tfrs.tasks.Retrieval(
            loss=unreduced, temperature=config.temperature, remove_accidental_hits=True
        )

    def call(self, features: Tensors, training: bool = False) -> Dict[str, tf.Tensor]:
        """{task: logits [B]} of encoded features [B, ...]."""
        user, item = self._towers(features, training)
        return {self._task: tf.reduce_sum(user * item, axis=-1) / self._temperature}

    def rank(self, user: Tensors, item: Tensors) -> Dict[str, tf.Tensor]:
        """{task: logits [B, N]}; user [B, ...], item [B, N, ...]."""
        return self.rank_parts(user, of_candidates(self.item_parts, item))

    def item_parts(self, item: Tensors) -> Tensors:
        """Of items [M, ...]: `vector`, their embedding [M, d]."""
        fields = self.fields.served(self.embeddings, trimmed(self._schema, item))
        return {"vector": self._item_tower(list(fields.values()))}

    def rank_parts(self, user: Tensors, parts: Tensors) -> Dict[str, tf.Tensor]:
        """`rank` of candidates by their `item_parts`, [B, N, ...]."""
        return {self._task: tf.linalg.matvec(parts["vector"], self.user_embedding(user))}

    def user_embedding(self, features: Tensors, training: bool = False) -> tf.Tensor:
        """User and context features [B, ...] to u / temperature, float32 [B, d]."""
        fields, _ = by_side(self._schema, self._vectors(features))
        return self._user_tower(fields, training=training) / self._temperature

    def item_embedding(self, features: Tensors, training: bool = False) -> tf.Tensor:
        """Item features [...] to v of length 1, float32 [..., d]."""
        _, fields = by_side(self._schema, self._vectors(features))
        return self._item_tower(fields, training=training)

    def losses(self, batch: TrainingBatch, training: bool) -> Dict[str, tf.Tensor]:
        """{task: r_i times the softmax cross-entropy of row i among the items of the batch, [B]}."""
        user, item = self._towers(batch.features, training)
        ids = batch.features[self._item]
        probability = self._sampling_probability(ids, training)
        # `call`, not `__call__`: where the precision is mixed, that would cast the users, and only them, to 16 bits.
        entropy = self._retrieval.call(user, item, candidate_sampling_probability=probability, candidate_ids=ids)
        reward = tf.cast(batch.labels[self._label], tf.float32)
        return {self._task: tf.where(reward > 0, reward * entropy, 0.0)}

    def _towers(self, features: Tensors, training: bool) -> Tuple[tf.Tensor, tf.Tensor]:
        """u and v of the same rows, [B, d]."""
        user, item = by_side(self._schema, self._vectors(features))
        return self._user_tower(user, training=training), self._item_tower(item, training=training)

    def _vectors(self, features: Tensors) -> Tensors:
        """One vector for each feature that is there, {name: [..., D]}."""
        features = trimmed(self._schema, features)
        cells = self.embeddings(features)
        vectors = self.fields((cells, features))
        for name, pool in self._pools.items():
            if name in features:
                vectors[name] = pool((cells[name], features[f"{name}_length"]))
        return vectors

    def _sampling_probability(self, ids: tf.Tensor, training: bool) -> Optional[tf.Tensor]:
        if self._frequency is None:
            return None
        if training:
            self._frequency.update(ids)
        return self._frequency(ids)


def select(schema: Schema, config: TwoTowerConfig) -> Tuple[Any, ...]:
    """All features but those of the pair (side cross), which no tower of one side can read.

    Raises UsageError when there is no item feature to tell items apart by, or nothing to know of the user.
    """
    features = tuple(f for f in without_side_columns(schema) if f.side != "cross")
    if schema.roles.item not in [f.name for f in features]:
        raise UsageError(
            f"two_tower tells the items of a batch apart by roles.item, which is {schema.roles.item!r} and no feature "
            f"of schema {schema.name!r}; set it to a feature of side item"
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
