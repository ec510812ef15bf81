"""One vector of the same width for every feature, whatever its kind: the fields that factorization models combine."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Tuple, TypeVar

import tensorflow as tf
import tf_keras as keras

from pipeline.embeddings import EmbeddingCollection
from pipeline.encoding import FeatureSpace, Tensors
from pipeline.layers.pooling import mean_of_rows, mean_pool, without_padding
from pipeline.schema import Bag, Dense, Numeric, Schema, Sequence
from pipeline.seeds import derive

USER_SIDES = ("user", "context")
ITEM_SIDES = ("item", "cross")

SMALL_TABLE = 64
"""Rows up to which the mean of a bag is made of counts, not of gathered vectors."""

Value = TypeVar("Value")


class Fields(keras.layers.Layer):
    """Ids become their vector, lists the mean of theirs, a number x its learned vector times x, a dense vector W v."""

    def __init__(
        self,
        space: FeatureSpace,
        width: int,
        *,
        seed: int,
        deviation: float = 0.02,
        leave_out: Tuple[str, ...] = (),
    ) -> None:
        super().__init__(name=f"fields_{width}")
        self.space, self.width = space, width
        self._features = tuple(f for f in space.schema.features if f.name not in leave_out)
        self._scales: Dict[str, tf.Variable] = {}
        for feature in self._features:
            if is_number(feature) or isinstance(feature, Dense):
                rows = feature.width if isinstance(feature, Dense) else 1
                start = keras.initializers.TruncatedNormal(stddev=deviation, seed=derive(seed, feature.name, width))
                self._scales[feature.name] = self.add_weight(
                    name=f"{feature.name}_{width}", shape=(rows, width), initializer=start
                )

    def call(self, inputs: Tuple[Mapping[str, tf.Tensor], Tensors]) -> Dict[str, tf.Tensor]:
        """inputs: vectors by column from an EmbeddingCollection, and the encoded features. Returns {feature: [..., D]}.

        Features whose columns are absent are left out, so that one side can be done alone.
        """
        vectors, encoded = inputs
        present = [f for f in self._features if f.name in encoded]
        return {feature.name: self._field(feature, vectors, encoded) for feature in present}

    @property
    def features(self) -> Tuple[Any, ...]:
        """Those that have a field, in the schema's order."""
        return self._features

    def scales(self, names: List[str]) -> tf.Tensor:
        """The vectors that these numbers scale, float [n, D]."""
        return tf.cast(tf.concat([self._scales[name] for name in names], axis=0), self.compute_dtype)

    def served(self, embeddings: EmbeddingCollection, encoded: Tensors) -> Dict[str, tf.Tensor]:
        """As a call with the vectors of all columns, in less time: features [M, ...], no gradient."""
        small = {
            f.name: f for f in self._features
            if isinstance(f, Bag) and f.name in encoded and embeddings.columns[f.name].rows <= SMALL_TABLE
        }
        rest = {name: cells for name, cells in encoded.items() if name not in small}
        found = self((embeddings(rest), rest))
        for name in small:
            mean = mean_of_rows(embeddings.all_rows(name), encoded[name], encoded[f"{name}_length"])
            found[name] = tf.cast(mean, embeddings.compute_dtype)
        return {f.name: found[f.name] for f in self._features if f.name in found}

    def _field(self, feature: Any, vectors: Mapping[str, tf.Tensor], encoded: Tensors) -> tf.Tensor:
        name = feature.name
        if isinstance(feature, (Bag, Sequence)):
            return mean_pool(vectors[name], encoded[f"{name}_length"])
        if name not in self._scales:
            return vectors[name]
        scale = tf.convert_to_tensor(self._scales[name])
        cells = tf.cast(encoded[name], scale.dtype)
        return tf.tensordot(cells, scale, 1) if isinstance(feature, Dense) else cells[..., tf.newaxis] * scale[0]


def is_number(feature: Any) -> bool:
    """True for a numeric feature that is encoded as a number, not as a bucket."""
    return isinstance(feature, Numeric) and feature.transform != "bucketise"


def embedded_columns(schema: Schema) -> Tuple[str, ...]:
    """The columns of a schema whose encoded form is embedding rows and that `Fields` needs vectors for."""
    return tuple(f.name for f in schema.features if not is_number(f) and not isinstance(f, Dense))


def without_side_columns(schema: Schema) -> Tuple[Any, ...]:
    """Every feature, sequences stripped of side sequences and times: what a model of pooled fields reads."""
    bare = {"side_sequences": (), "times": None}
    return tuple(f.model_copy(update=bare) if isinstance(f, Sequence) else f for f in schema.features)


def trimmed(schema: Schema, encoded: Tensors) -> Tensors:
    """The encoded features, every list cut to its longest in this batch: columns that are all padding cost nothing."""
    cut = dict(encoded)
    for feature in schema.features:
        if isinstance(feature, (Bag, Sequence)) and feature.name in encoded:
            for column in feature.columns():
                if column.length is not None:
                    cut[column.name] = without_padding(encoded[column.name], encoded[column.length])
    return cut


def by_side(schema: Schema, values: Mapping[str, Value]) -> Tuple[List[Value], List[Value]]:
    """Values by feature, in the schema's order, parted: those of user and context, those of item and cross."""
    user = [values[f.name] for f in schema.features if f.name in values and f.side in USER_SIDES]
    item = [values[f.name] for f in schema.features if f.name in values and f.side in ITEM_SIDES]
    return user, item


def candidate_axis(user: tf.Tensor) -> tf.Tensor:
    """[B, ...] to [B, 1, ...], so that what a user has is shared by all N candidates."""
    return user[:, tf.newaxis]


def sides_of(schema: Schema, user: Callable[[], Tensors], candidates: Tensors) -> List[Tensors]:
    """The parts [B, 1, ...] that `user` makes, where there is anything of a user, and the candidates' [B, N, ...]."""
    if not any(f.side in USER_SIDES for f in schema.features):
        return [candidates]
    return [{name: candidate_axis(part) for name, part in user().items()}, candidates]


def of_candidates(parts: Callable[[Tensors], Tensors], item: Tensors) -> Tensors:
    """{name: [B, N, ...]}, what `parts` makes of the candidates' encoded features [B, N, ...], handed to it as rows.

    As rows, [B * N, ...], every product in it is one of two matrices, which takes fewer ops and less time.
    """
    front = tf.shape(next(iter(item.values())))[:2]
    made = parts({name: tf.reshape(cells, _rows(cells)) for name, cells in item.items()})
    return {name: tf.reshape(part, tf.concat([front, part.shape[1:]], axis=0)) for name, part in made.items()}


def _rows(cells: tf.Tensor) -> Any:
    """The shape of [B, N, ...] as [B * N, ...]; cells have at most one axis of their own."""
    return [-1] if cells.shape.rank == 2 else [-1, cells.shape[2] or tf.shape(cells)[2]]
