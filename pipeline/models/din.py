"""DIN: Zhou et al., "Deep Interest Network for Click-Through Rate Prediction", KDD 2018, arXiv 1706.06978.

    v_U(A) = sum_j a(e_j, v_A) e_j, with a = MLP([e_j, v_A, v_A - e_j, e_j * v_A])      (eq. 3; `attention: paper`)
    logit = MLP([v_U(A); v_A; v_U(A) * v_A; profile; context])
    Dice, the activation of both, see `pipeline.layers.dice`                            (eq. 9)

The weights a are not normalised: their size tells how strong an interest is. `attention: softmax` normalises them over
the history. Deviations, as in the authors' code: a's input has four parts (the paper draws an outer product), and the
output MLP has v_U * v_A. e_j is the item's vector, with those of its attributes whose history is known: a side sequence
that shares the table of a feature of the item is paired with it. Side sequences without such a pair are not read.
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
from pipeline.layers.fields import ITEM_SIDES, USER_SIDES, Fields, by_side, candidate_axis, embedded_columns, trimmed
from pipeline.layers.mlp import SplitMlp, dropout_layer, logit_layer
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
        self._schema, self._interaction = space.schema, config.interaction
        self._pairs = pairs_of(space.schema)
        columns = dict.fromkeys((*embedded_columns(space.schema), *(key for pair in self._pairs for key in pair.keys)))
        self.embeddings = EmbeddingCollection(space, columns, config.embedding_width, seed=derive(seed, "e"))
        paired = tuple(pair.sequence for pair in self._pairs)
        self.fields = Fields(space, config.embedding_width, seed=derive(seed, "e"), leave_out=paired)
        self.attention = [
            TargetAttention(
                config.attention_units,
                seed=derive(seed, "attention", pair.sequence),
                activation=config.attention_activation,
                softmax=config.attention == "softmax",
            )
            for pair in self._pairs
        ]
        self._dropout = dropout_layer(config.embedding_dropout, seed=derive(seed, "embedding dropout"))
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
        return {self._task: self._logit(user, [*item, *self._interests(features, vectors, fields, training)], training)}

    def rank(self, user: Tensors, item: Tensors) -> Dict[str, tf.Tensor]:
        """{task: logits float32 [B, N]}; user [B, ...], item [B, N, ...]."""
        user, item = trimmed(self._schema, user), trimmed(self._schema, item)
        vectors = self.embeddings(user)
        shared = [candidate_axis(field) for field in self.fields((vectors, user)).values()]
        fields = self.fields((self.embeddings(item), item))
        interests = self._interests(user, vectors, fields, training=False)
        return {self._task: self._logit(shared, [*fields.values(), *interests], training=False)}

    def losses(self, batch: TrainingBatch, training: bool) -> Dict[str, tf.Tensor]:
        return losses.pointwise(self(batch.features, training=training), self._labels, batch)

    def _interests(
        self, user: Tensors, vectors: Mapping[str, tf.Tensor], fields: Mapping[str, tf.Tensor], training: bool
    ) -> List[tf.Tensor]:
        """v_U of each pair, and v_U * v_A; vectors by column of the user's side, fields by feature of the item's."""
        found = []
        for pair, attention in zip(self._pairs, self.attention):
            keys = tf.concat([vectors[key] for key in pair.keys], axis=-1)
            query = tf.concat([fields[name] for name in pair.queries], axis=-1)
            interest = attention((keys, user[f"{pair.sequence}_length"], query), training=training)
            found += [interest, interest * query] if self._interaction else [interest]
        return found

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


def select(schema: Schema) -> Tuple[Any, ...]:
    """Every feature; sequences keep the side sequences that are paired, and no times."""
    keys = {key for pair in pairs_of(schema) for key in pair.keys}
    if not keys:
        raise UsageError(
            f"model 'din' needs a history, but schema {schema.name!r} has no sequence of the user's side that shares "
            "the table of an item feature; add one with `shares`"
        )
    return tuple(_stripped(feature, keys) if isinstance(feature, Sequence) else feature for feature in schema.features)


def _stripped(sequence: Sequence, keys: Set[str]) -> Sequence:
    paired = tuple(side for side in sequence.side_sequences if side.name in keys)
    return sequence.model_copy(update={"side_sequences": paired, "times": None})


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
