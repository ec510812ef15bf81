"""Raw columns to embedding rows and numbers, inside the graph: one function, called by dataset and signatures alike.

Embedding rows: 0 is missing or padding, 1 is out of vocabulary, the vocabulary starts at 2; hashes start at 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

import tensorflow as tf

from pipeline.prepared import Prepared, Statistics
from pipeline.schema import Bag, Categorical, Dense, Numeric, Schema, Sequence
from signatures.errors import UsageError

Tensors = Dict[str, tf.Tensor]

MISSING = 0
OUT_OF_VOCABULARY = 1
RESERVED = 2
"""Rows before the vocabulary."""


@dataclass(frozen=True)
class Table:
    """One embedding table: features that share it have the same rows."""

    name: str
    rows: int


@dataclass(frozen=True)
class FeatureSpace:
    """All a model knows of its inputs: their meaning, and how many embedding rows each needs."""

    schema: Schema
    tables: Dict[str, Table]
    """By feature or side sequence whose encoded form is ids."""
    fused: bool = False
    """Whether the tables of one width lie one behind the other in one variable, for lazy updates."""


class Encoder(tf.Module):
    """Encodes the features of one schema with the vocabularies and statistics of one prepared data set."""

    def __init__(self, schema: Schema, prepared: Prepared) -> None:
        super().__init__(name="encoder")
        self.schema = schema
        self._statistics = prepared.facts.statistics
        self._lookups: Dict[str, tf.lookup.StaticHashTable] = {}
        self.tables: Dict[str, Table] = {}
        """By feature or side sequence: the embedding table its ids point into."""
        for part in id_parts(schema):
            self._add_table(part, prepared)

    @property
    def space(self) -> FeatureSpace:
        return FeatureSpace(self.schema, dict(self.tables))

    def _add_table(self, part: Any, prepared: Prepared) -> None:
        # The owner may be absent from a model's selection of features, or come later in the schema.
        shares = None if isinstance(part, Numeric) else part.shares
        owner = part if shares is None else prepared.schema.feature(shares)
        if isinstance(owner, Numeric):
            self.tables[part.name] = Table(owner.name, len(self._boundaries(owner)) + 2)
        elif owner.hash_buckets is not None:
            self.tables[part.name] = Table(owner.name, owner.hash_buckets)
        else:
            size = prepared.facts.vocabulary_sizes[owner.name]
            self.tables[part.name] = Table(owner.name, size + RESERVED)
            if owner.name not in self._lookups:
                self._lookups[owner.name] = _lookup(prepared.vocabulary(owner.name), owner.dtype, size)

    # Nothing here branches on a tensor; converting it (and pydantic, which it calls) is slow and full of warnings.
    @tf.autograph.experimental.do_not_convert
    def __call__(self, raw: Mapping[str, tf.Tensor]) -> Tensors:
        """Encodes the features whose columns are all in `raw`; others are left out, so a side can be encoded alone.

        raw: cells by column, [...] for values, [..., L] for lists, [..., W] for vectors; `...` is [B] or [B, N].
        Returns by column: int32 rows of the embedding table, int32 lengths, float32 numbers and vectors, int64 times.
        Lists are [..., min(L, maximum)], cut (sequences to the newest, bags to the first); cells beyond the length
        are row 0, of times 0.
        """
        encoded: Tensors = {}
        for feature in self.schema.features:
            if all(column.name in raw for column in feature.columns()):
                with tf.name_scope(f"encode_{feature.name}"):
                    encoded.update(self._encode(feature, raw))
        return encoded

    def _encode(self, feature: Any, raw: Mapping[str, tf.Tensor]) -> Tensors:
        if isinstance(feature, Categorical):
            return {feature.name: self.ids(feature, raw[feature.name])}
        if isinstance(feature, Numeric):
            return {feature.name: self._number(feature, raw[feature.name])}
        if isinstance(feature, Dense):
            vector = raw[feature.name]
            return {feature.name: tf.where(tf.math.is_finite(vector), vector, 0.0)}
        return self._list(feature, raw)

    @tf.autograph.experimental.do_not_convert
    def ids(self, part: Any, cells: tf.Tensor) -> tf.Tensor:
        """Raw ids [...] of a feature or side sequence to rows of its table, int32 [...]."""
        table = self.tables[part.name]
        missing = tf.equal(cells, "" if part.dtype == "string" else tf.constant(-1, tf.int64))
        if table.name in self._lookups:
            rows = RESERVED + tf.cast(self._lookups[table.name].lookup(cells), tf.int32)
        else:
            text = cells if part.dtype == "string" else tf.strings.as_string(cells)
            rows = 1 + tf.cast(tf.strings.to_hash_bucket_fast(text, table.rows - 1), tf.int32)
        return tf.where(missing, MISSING, rows)

    def _boundaries(self, feature: Numeric) -> Tuple[float, ...]:
        learned = self._statistics[feature.name].boundaries if feature.boundaries is None else feature.boundaries
        return learned or ()

    def _number(self, feature: Numeric, cells: tf.Tensor) -> tf.Tensor:
        # Infinity arrives over JSON too; like NaN it says nothing, and would reach the loss.
        present = tf.math.is_finite(cells)
        value = tf.where(present, cells, 0.0)
        if feature.clip is not None:
            value = tf.clip_by_value(value, feature.clip[0], feature.clip[1])
        if feature.transform == "bucketise":
            edges = tf.constant(self._boundaries(feature), tf.float32)
            bucket = tf.searchsorted(edges, tf.reshape(value, [-1]), side="right") + 1
            return tf.where(present, tf.reshape(bucket, tf.shape(value)), MISSING)
        if feature.transform.startswith("log1p"):
            value = tf.math.log1p(tf.maximum(value, 0.0))
        if feature.transform.endswith("standardise"):
            value = _standardise(value, self._statistics[feature.name])
        return tf.where(present, value, 0.0)

    def _list(self, feature: Any, raw: Mapping[str, tf.Tensor]) -> Tensors:
        name = feature.name
        width = tf.shape(raw[name], tf.int64)[-1]
        length = tf.clip_by_value(raw[f"{name}_length"], 0, width)
        kept = tf.minimum(length, feature.maximum_length)
        # A sequence keeps its newest cells, which stand last; a bag has no order, so its first will do.
        start = length - kept if isinstance(feature, Sequence) else tf.zeros_like(length)
        steps = tf.range(tf.minimum(width, feature.maximum_length))
        valid = steps < kept[..., tf.newaxis]
        index = steps + start[..., tf.newaxis]
        columns = {name: feature}
        if isinstance(feature, Sequence):
            columns.update({side.name: side for side in feature.side_sequences})
        encoded = {f"{name}_length": tf.cast(kept, tf.int32)}
        for column, part in columns.items():
            if isinstance(feature, Bag):  # its first cells, without a look at each place
                window, present = raw[column][..., : feature.maximum_length], valid
            else:
                window, present = pick(raw[column], index, valid)
            encoded[column] = tf.where(present, self.ids(part, window), MISSING)
        if isinstance(feature, Sequence) and feature.times is not None:
            window, present = pick(raw[feature.times], index, valid)
            encoded[feature.times] = tf.where(present, window, 0)
        return encoded


def pick(cells: tf.Tensor, index: tf.Tensor, valid: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
    """cells [..., L] at index [..., K] int64, as [..., K], and which of them exist: valid [..., K] and inside L, bool.

    A client may send a side sequence that is shorter than its sequence: what it lacks is missing, not an error.
    """
    present = valid & (index < tf.shape(cells, tf.int64)[-1])
    # One more cell behind, so that there is something to point at even where there is no cell at all.
    padded = tf.pad(cells, [[0, 0]] * (cells.shape.rank - 1) + [[0, 1]])
    return tf.gather(padded, tf.where(present, index, 0), axis=-1, batch_dims=cells.shape.rank - 1), present


def _standardise(value: tf.Tensor, statistics: Statistics) -> tf.Tensor:
    # A feature that was constant in training has only rounding errors for a deviation: dividing by them would turn the
    # first other value into millions.
    constant = statistics.deviation <= 1e-7 * abs(statistics.mean)
    scaled = (value - statistics.mean) / (1.0 if constant else statistics.deviation)
    return tf.clip_by_value(scaled, tf.float32.min, tf.float32.max)


def id_parts(schema: Schema) -> Tuple[Any, ...]:
    """Every feature and side sequence whose encoded form is rows of an embedding table, in order."""
    parts: List[Any] = []
    for feature in schema.features:
        if isinstance(feature, (Categorical, Bag, Sequence)) or _bucketised(feature):
            parts.append(feature)
        if isinstance(feature, Sequence):
            parts.extend(feature.side_sequences)
    return tuple(parts)


def _bucketised(feature: Any) -> bool:
    return isinstance(feature, Numeric) and feature.transform == "bucketise"


def _lookup(path: Path, dtype: str, size: int) -> tf.lookup.StaticHashTable:
    """Raw id to its line, -1 where there is none. Raises UsageError for a file that is not what was prepared."""
    if not size:
        raise UsageError(
            f"vocabulary {path.stem!r} is empty, so the feature says nothing; lower its minimum_count or drop it"
        )
    key = tf.string if dtype == "string" else tf.int64
    whole_line, line_number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    try:
        lines = tf.lookup.TextFileInitializer(str(path), key, whole_line, tf.int64, line_number)
        found = tf.lookup.StaticHashTable(lines, default_value=-1)
    except tf.errors.OpError as error:
        raise UsageError(f"vocabulary {path} cannot be read ({error.message}); run signet prepare again") from error
    if int(found.size()) != size:
        raise UsageError(f"vocabulary {path} has {int(found.size())} ids, not {size}; run signet prepare again")
    return found
