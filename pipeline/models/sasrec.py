"""SASRec: Kang & McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018.

    x_t = sqrt(d) e_t + P_t, then blocks x + Dropout(g(LN(x))), g causal attention or point-wise feed-forward (III-A, B)
    r_{i,t} = <LN(x_t), e_i> + b_i, on the table that the input reads                                         (III-C)
    L_t = -[log s(r_target,t) + sum_j log(1 - s(r_{j,t}))], or a softmax: see pipeline.layers.next_item       (III-D)

The target of a position is the item at the next, of the last one the label. A row's loss is the sum over its positions
divided by the schema's maximum length: each event weighs the same, however full its window, and the scale depends
neither on the batch nor on its padding.

Choices: Q, K and V are all made of LN(x), and the residual is x, as in the paper (its code takes K and V of x, and the
residual of LN(x)). Positions are counted from the start of the window: its oldest item has P_0. The factor sqrt(d) and
the last normalisation are the code's. A negative is any item but the target; the paper leaves out all that the user has
seen. b_i is our option: one more coordinate of the item's vector, where the user's has a 1. No history is the state 0.
"""

from __future__ import annotations

from typing import Any, Dict, Tuple

import pydantic
import tensorflow as tf
import tf_keras as keras

from pipeline.batches import TrainingBatch
from pipeline.embeddings import EmbeddingCollection
from pipeline.encoding import RESERVED, FeatureSpace, Tensors
from pipeline.layers.attention import TransformerBlock, normalisation
from pipeline.layers.fields import of_candidates, trimmed, without_side_columns
from pipeline.layers.mlp import dropout_layer
from pipeline.layers.next_item import NextItemConfig, NextItemLoss, next_items
from pipeline.models.specification import ModelSpec
from pipeline.schema import Categorical, Schema, Sequence, Task
from pipeline.seeds import derive
from signatures.errors import UsageError


class SASRecConfig(NextItemConfig):
    """Parameters of SASRec, besides those of its loss. Widths in units."""

    width: int = pydantic.Field(64, ge=1)
    """Of item vectors and of every layer (d in the paper)."""
    blocks: int = pydantic.Field(2, ge=1)
    heads: int = pydantic.Field(2, ge=1)
    """Of attention; divides the width."""
    dropout: float = pydantic.Field(0.2, ge=0, lt=1)
    """Share dropped of the input, of attention weights and of what each half of a block adds."""
    item_bias: bool = True
    """Whether each item has a b_i."""

    @pydantic.model_validator(mode="after")
    def _check_heads(self) -> SASRecConfig:
        if self.width % self.heads:
            raise ValueError(f"heads is {self.heads}, which does not divide width {self.width}; choose a divisor")
        return self


class SASRec(keras.Model):
    """One task of kind next_item; see the module."""

    def __init__(self, config: SASRecConfig, space: FeatureSpace, tasks: Tuple[Task, ...], *, seed: int) -> None:
        super().__init__(name="sasrec")
        self._schema, self._task, self._label = space.schema, tasks[0].name, tasks[0].label
        sequence, item = select(space.schema, config)
        self._history, self._item, self._maximum_length = sequence.name, item.name, sequence.maximum_length
        columns, width = (sequence.name, item.name), config.width
        self.embeddings = EmbeddingCollection(space, columns, width, seed=derive(seed, "items"))
        self.biases = None
        if config.item_bias:
            # Zero at first: a random bias is noise that nothing regularises.
            self.biases = EmbeddingCollection(space, (item.name,), 1, seed=derive(seed, "biases"), deviation=0.0)
        start = keras.initializers.TruncatedNormal(stddev=0.02, seed=derive(seed, "positions"))
        self.positions = self.add_weight(name="positions", shape=(self._maximum_length, width), initializer=start)
        self._dropout = dropout_layer(config.dropout, seed=derive(seed, "dropout"))
        self._blocks = [
            TransformerBlock(width, config.heads, causal=True, dropout=config.dropout, seed=derive(seed, "block", b))
            for b in range(config.blocks)
        ]
        self._norm = normalisation()
        # Hashed ids have no row for those out of vocabulary: row 1 is an item like any other.
        first = RESERVED if item.hash_buckets is None else 1
        rows = space.tables[item.name].rows
        if rows - first < 2:
            raise UsageError(f"feature {item.name!r} has {rows - first} items to choose from; sasrec needs at least 2")
        self._next_item = NextItemLoss(config, first, rows, seed=derive(seed, "negatives"))

    def call(self, features: Tensors, training: bool = False) -> Dict[str, tf.Tensor]:
        """{task: logits [B]} of encoded features [B, ...]."""
        user, item = self.user_embedding(features, training=training), self.item_embedding(features)
        return {self._task: tf.reduce_sum(user * item, axis=-1)}

    def rank(self, user: Tensors, item: Tensors) -> Dict[str, tf.Tensor]:
        """{task: logits [B, N]}; user [B, ...], item [B, N]."""
        return self.rank_parts(user, of_candidates(self.item_parts, item))

    def item_parts(self, item: Tensors) -> Tensors:
        """Of items [M, ...]: `vector`, their embedding [M, d]."""
        return {"vector": self.item_embedding(item)}

    def rank_parts(self, user: Tensors, parts: Tensors) -> Dict[str, tf.Tensor]:
        """`rank` of candidates by their `item_parts`, [B, N, ...]."""
        return {self._task: tf.linalg.matvec(parts["vector"], self.user_embedding(user))}

    def user_embedding(self, features: Tensors, training: bool = False) -> tf.Tensor:
        """The state after the last item, float32 [B, d]; zeros where there is none."""
        states = tf.cast(self.states(features, training=training), tf.float32)
        length = features[f"{self._history}_length"][:, tf.newaxis]
        is_last = tf.equal(tf.range(tf.shape(states)[1]), length - 1)[..., tf.newaxis]
        return self._with_one(tf.reduce_sum(tf.where(is_last, states, 0.0), axis=1))

    def item_embedding(self, features: Tensors, training: bool = False) -> tf.Tensor:
        """The item's vector, float32 [..., d]; its dot product with the user's is the logit."""
        return tf.cast(self._vectors(features[self._item]), tf.float32)

    def states(self, features: Tensors, training: bool = False) -> tf.Tensor:
        """The state after each cell of the history, [B, l, width] with l the longest of the batch.

        Those at and after a row's own length mean nothing.
        """
        features = trimmed(self._schema, features)
        history, length = features[self._history], features[f"{self._history}_length"]
        vectors = self.embeddings({self._history: history})[self._history]
        x = vectors * vectors.shape[-1] ** 0.5
        x += tf.cast(self.positions, x.dtype)[: tf.shape(history)[1]]
        x = self._dropout(x, training=training)
        for block in self._blocks:
            x = block((x, length), training=training)
        return self._norm(x)

    def losses(self, batch: TrainingBatch, training: bool) -> Dict[str, tf.Tensor]:
        """{task: [B]}, the sum over the row's positions that have a known next item, divided by the maximum length."""
        features = trimmed(self._schema, batch.features)
        history, length = features[self._history], features[f"{self._history}_length"]
        targets = next_items(history, length, tf.cast(batch.labels[self._label], history.dtype))
        states = self._with_one(self.states(features, training=training))
        each = self._next_item(states, targets, self._vectors, training)
        return {self._task: tf.reduce_sum(each, axis=-1) / self._maximum_length}

    def _vectors(self, ids: tf.Tensor) -> tf.Tensor:
        """ids [...] to [..., d], the bias behind the vector."""
        encoded = {self._item: ids}
        vectors = self.embeddings(encoded)[self._item]
        return vectors if self.biases is None else tf.concat([vectors, self.biases(encoded)[self._item]], axis=-1)

    def _with_one(self, states: tf.Tensor) -> tf.Tensor:
        """[..., width] to [..., d]: a 1 for the bias to be multiplied by, where there is one."""
        return states if self.biases is None else tf.concat([states, tf.ones_like(states[..., :1])], axis=-1)


def select(schema: Schema, config: SASRecConfig) -> Tuple[Any, ...]:
    """The user's sequence that shares the table of the item, without side columns, and the item.

    Raises UsageError when there is none.
    """
    found = {feature.name: feature for feature in without_side_columns(schema)}
    item = found.get(schema.roles.item or "")
    if not isinstance(item, Categorical) or item.side != "item":
        raise UsageError(
            f"sasrec predicts the next roles.item, which is {schema.roles.item!r} in schema {schema.name!r}; "
            "set it to a categorical feature of side item"
        )
    for feature in found.values():
        if isinstance(feature, Sequence) and feature.side == "user" and feature.shares == item.name:
            return feature, item
    raise UsageError(
        f"schema {schema.name!r} has no sequence of side user with shares: {item.name}, which is all that sasrec reads "
        "of a user; add one"
    )


SPEC = ModelSpec(
    summary="Causal self-attention over the history, predicting the next item (Kang & McAuley, ICDM 2018)",
    config=SASRecConfig,
    build=SASRec,
    select=select,
    signatures=("serving_default", "rank", "user_embedding", "item_embedding", "next_items"),
    rows="windows",
    task_kinds=("next_item",),
    score="similarity",
)
