"""DIN: Zhou et al., "Deep Interest Network for Click-Through Rate Prediction", KDD 2018, arXiv 1706.06978.

    v_U(A) = sum_j a(e_j, v_A) e_j, with a = MLP([e_j, v_A, v_A - e_j, e_j * v_A])      (eq. 3; `attention: paper`)
    logit = MLP([v_U(A); v_A; v_U(A) * v_A; profile; context])
    Dice, the activation of both, see `pipeline.layers.dice`                            (eq. 9)

The weights a are not normalised: their size tells how strong an interest is. `attention: softmax` normalises them over
the history. The paper leaves the order of events out and has one a; `positions` tells a how many events are newer than
e_j, `time_decay` multiplies it by a power of the time since, and `heads` is how many a there are, each with its v_U.
Deviations, as in the authors' code: a's input has four parts (the paper draws an outer product), and the output MLP has
v_U * v_A. e_j is the item's vector, with those of its attributes whose history is known: a side sequence that shares
the table of a feature of the item is paired with it. Side sequences without such a pair are not read.
"""

from __future__ import annotations

from typing import Any, Dict, List, Literal, Mapping, NamedTuple, Set, Tuple

import pydantic
import tensorflow as tf
import tf_keras as keras

from pipeline import losses
from pipeline.batches import TrainingBatch
from pipeline.embeddings import EmbeddingCollection
from pipeline.encoding import FeatureSpace, Tensors
from pipeline.layers.activations import ActivationName
from pipeline.layers.fields import (
    ITEM_SIDES,
    USER_SIDES,
    Fields,
    by_side,
    candidate_axis,
    embedded_columns,
    of_candidates,
    trimmed,
)
from pipeline.layers.mlp import SplitMlp, dropout_layer, logit_layer
from pipeline.layers.recency import TimeDecay
from pipeline.layers.target_attention import TargetAttention
from pipeline.models.specification import Config, ModelSpec
from pipeline.schema import Bag, Categorical, Schema, Sequence, Task
from pipeline.seeds import derive
from pipeline.tasks import only
from signatures.errors import UsageError


class DINConfig(Config):
    """Parameters of DIN. Widths in units."""

    embedding_width: int = pydantic.Field(32, ge=1)
    """Of every feature's vector."""
    embedding_dropout: float = pydantic.Field(0.0, ge=0, lt=1)
    """Share of the cells of all vectors dropped in training, before the output MLP."""
    attention: Literal["paper", "softmax"] = "paper"
    """paper: weights as they are, so intensity is kept; softmax: weights that sum to 1 over the history."""
    attention_units: Tuple[int, ...] = pydantic.Field((80, 40), min_length=1)
    """Of the hidden layers of a."""
    attention_activation: ActivationName = "sigmoid"
    """Of those layers."""
    hidden_units: Tuple[int, ...] = pydantic.Field((200, 80), min_length=1)
    """Of the hidden layers of the output MLP."""
    activation: ActivationName = "dice"
    """Of those layers."""
    dropout: float = pydantic.Field(0.2, ge=0, lt=1)
    """Share of hidden units of the output MLP dropped in training."""
    heads: int = pydantic.Field(1, ge=1)
    """Activation units of each history, each with weights and an interest vector of its own."""
    positions: bool = False
    """Whether a is told how many events of the history are newer than e_j."""
    time_decay: bool = False
    """Whether the weight of an event falls with its time before the newest; needs a history with `times`."""
    interaction: bool = True
    """Whether the output MLP sees v_U * v_A."""


class Pair(NamedTuple):
    """A sequence of the user and what it is compared with."""

    sequence: str
    keys: Tuple[str, ...]
    """Columns of one cell: the sequence itself and its paired side sequences."""
    queries: Tuple[str, ...]
    """Features of the item in the same order, each sharing its table with the key."""


class DIN(keras.Model):
    """One task; see the module."""

    def __init__(self, config: DINConfig, space: FeatureSpace, tasks: Tuple[Task, ...], *, seed: int) -> None:
        super().__init__(name="din")
        task = only(tasks, "din")
        self._task, self._labels = task.name, {task.name: task.label}
        self._schema, self._interaction, self._heads = space.schema, config.interaction, config.heads
        self._pairs = pairs_of(space.schema)
        columns = dict.fromkeys((*embedded_columns(space.schema), *(key for pair in self._pairs for key in pair.keys)))
        self.embeddings = EmbeddingCollection(space, columns, config.embedding_width, seed=derive(seed, "e"))
        paired = tuple(pair.sequence for pair in self._pairs)
        self.fields = Fields(space, config.embedding_width, seed=derive(seed, "e"), leave_out=paired)
        self.attention = [
            TargetAttention(
                config.attention_units,
                seed=derive(seed, "attention", pair.sequence, head),
                activation=config.attention_activation,
                softmax=config.attention == "softmax",
                positions=space.schema.feature(pair.sequence).maximum_length if config.positions else 0,
            )
            for pair in self._pairs
            for head in range(config.heads)
        ]
        self._decays = [TimeDecay() if config.time_decay else None for _ in self._pairs]
        self._dropout = dropout_layer(config.embedding_dropout, seed=derive(seed, "embedding dropout"))
        self._item_width = config.embedding_width * sum(f.side in ITEM_SIDES for f in space.schema.features)
        others = any(f.side in USER_SIDES and f.name not in paired for f in space.schema.features)
        self.hidden = SplitMlp(
            config.hidden_units,
            1 + others,
            seed=derive(seed, "hidden"),
            activation=config.activation,
            dropout=config.dropout,
        )
        self.output_layer = logit_layer(seed=derive(seed, "output"))

    def call(self, features: Tensors, training: bool = False) -> Dict[str, tf.Tensor]:
        """{task: logits float32 [B]} of encoded features [B, ...]."""
        features = trimmed(self._schema, features)
        vectors = self.embeddings(features)
        fields = self.fields((vectors, features))
        user, item = by_side(self._schema, fields)
        interests = self._interests(features, vectors, self._queries(fields), training)
        return {self._task: self._logit(user, [*item, *interests], training)}

    def rank(self, user: Tensors, item: Tensors) -> Dict[str, tf.Tensor]:
        """{task: logits float32 [B, N]}; user [B, ...], item [B, N, ...]."""
        return self.rank_parts(user, of_candidates(self.item_parts, item))

    def item_parts(self, item: Tensors) -> Tensors:
        """Of items [M, ...]: `hidden`, what they add to the first layer; `query_*`, what histories meet."""
        fields = self.fields.served(self.embeddings, trimmed(self._schema, item))
        whole = tf.concat(list(fields.values()), axis=-1)
        queries = {f"query_{place}": query for place, query in enumerate(self._queries(fields))}
        return {"hidden": self.hidden.product(whole, -1), **queries}

    def rank_parts(self, user: Tensors, parts: Tensors) -> Dict[str, tf.Tensor]:
        """`rank` of candidates by their `item_parts`, [B, N, ...]."""
        user = trimmed(self._schema, user)
        vectors = self.embeddings(user)
        shared = list(self.fields((vectors, user)).values())
        queries = [parts[f"query_{place}"] for place in range(len(self._pairs))]
        interests = tf.concat(self._interests(user, vectors, queries, training=False), axis=-1)
        products = [parts["hidden"], self.hidden.product(interests, -1, first_row=self._item_width)]
        if shared:
            products.insert(0, candidate_axis(self.hidden.product(tf.concat(shared, axis=-1), 0)))
        logits = self.output_layer(self.hidden.flat_output(products))
        return {self._task: tf.reshape(logits, tf.shape(parts["hidden"])[:2])}

    def losses(self, batch: TrainingBatch, training: bool) -> Dict[str, tf.Tensor]:
        return losses.pointwise(self(batch.features, training=training), self._labels, batch)

    def _interests(
        self, user: Tensors, vectors: Mapping[str, tf.Tensor], queries: List[tf.Tensor], training: bool
    ) -> List[tf.Tensor]:
        """Of each pair its v_U, and v_U * v_A; vectors by column of the user's side, the v_A of each pair."""
        found = []
        for place, (pair, decay, query) in enumerate(zip(self._pairs, self._decays, queries)):
            keys, length = tf.concat([vectors[key] for key in pair.keys], axis=-1), user[f"{pair.sequence}_length"]
            factor = None if decay is None else decay(user[str(self._schema.feature(pair.sequence).times)], length)
            for attention in self.attention[place * self._heads : (place + 1) * self._heads]:
                interest = attention((keys, length, query), factor=factor, training=training)
                found += [interest, interest * query] if self._interaction else [interest]
        return found

    def _queries(self, fields: Mapping[str, tf.Tensor]) -> List[tf.Tensor]:
        """v_A of each pair [..., D], of the item's fields."""
        return [tf.concat([fields[name] for name in pair.queries], axis=-1) for pair in self._pairs]

    def _logit(self, user: List[tf.Tensor], item: List[tf.Tensor], training: bool) -> tf.Tensor:
        """Vectors of the two sides, whose leading axes broadcast; there may be nothing of the user but histories."""
        parts = [self._dropout(tf.concat(side, axis=-1), training=training) for side in (user, item) if side]
        return self.output_layer(self.hidden(parts, training=training))[..., 0]


def pairs_of(schema: Schema) -> Tuple[Pair, ...]:
    """Every sequence of the user's side that shares its table with a feature of the item's side."""
    queries: Dict[str, str] = {}
    for feature in schema.features:
        if feature.side in ITEM_SIDES and isinstance(feature, (Categorical, Bag)):
            queries.setdefault(_owner(feature), feature.name)
    found = []
    for feature in schema.features:
        if isinstance(feature, Sequence) and feature.side in USER_SIDES and _owner(feature) in queries:
            owners = _owners(feature)
            paired = {name: queries[owner] for name, owner in owners.items() if owner in queries}
            found.append(Pair(feature.name, tuple(paired), tuple(paired.values())))
    return tuple(found)


def select(schema: Schema, config: DINConfig) -> Tuple[Any, ...]:
    """Every feature; sequences keep the side sequences that are paired and, for a decay, the times of their events."""
    pairs = pairs_of(schema)
    if not pairs:
        raise UsageError(
            f"model 'din' needs a history, but schema {schema.name!r} has no sequence of the user's side that shares "
            "the table of an item feature; add one with `shares`"
        )
    timed = [pair.sequence for pair in pairs] if config.time_decay else []
    for name in timed:
        if schema.feature(name).times is None:
            raise UsageError(f"time_decay needs the times of {name!r}, which the schema lacks; add `times` to it")
    keys = {key for pair in pairs for key in pair.keys}
    return tuple(_stripped(f, keys, f.name in timed) if isinstance(f, Sequence) else f for f in schema.features)


def _stripped(sequence: Sequence, keys: Set[str], timed: bool) -> Sequence:
    paired = tuple(side for side in sequence.side_sequences if side.name in keys)
    return sequence.model_copy(update={"side_sequences": paired, "times": sequence.times if timed else None})


def _owners(sequence: Sequence) -> Dict[str, str]:
    """The owner of each column of ids of a sequence, its own first."""
    return {sequence.name: _owner(sequence), **{side.name: _owner(side) for side in sequence.side_sequences}}


def _owner(part: Any) -> str:
    """The feature whose table a part's ids point into."""
    return str(part.shares or part.name)


SPEC = ModelSpec(
    summary="Local activation of the history by the candidate (Zhou et al., KDD 2018)",
    config=DINConfig,
    build=DIN,
    select=select,
    signatures=("serving_default", "rank"),
    rows="pointwise",
)
