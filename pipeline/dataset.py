"""From a prepared folder to tf.data of TrainingBatch: raw rows in, encoded features, labels, masks and weights out."""

from __future__ import annotations

from functools import partial
from typing import Any, Dict, Iterator, Optional, Sequence

import numpy as np
import tensorflow as tf

from pipeline import rows as row_files
from pipeline.batches import TrainingBatch
from pipeline.encoding import Encoder, Tensors
from pipeline.examples import Batch, Examples
from pipeline.models.specification import TrainingRows
from pipeline.plan import Plan
from pipeline.prepared import Prepared
from pipeline.rows import Rows
from pipeline.schema import Column, Schema

_DTYPES = {"int64": tf.int64, "string": tf.string, "float32": tf.float32}
_CHUNK = 16_384
"""Rows that are encoded at once."""


def training_batches(
    prepared: Prepared,
    encoder: Encoder,
    schema: Schema,
    rows: TrainingRows,
    plan: Plan,
    seed: int,
    epoch: int,
    skip_batches: int = 0,
) -> tf.data.Dataset:
    """One epoch of the training part, shuffled, with fresh negatives: a function of (seed, epoch) alone.

    schema: the model's features and tasks only; no other column is read. With `skip_batches`, what is left of it.
    pointwise: every row, and `negatives_per_positive` unseen items for each where the data is of events only.
    positives: rows with label 1 of the first binary task. windows: rows marked as `window`.
    Raises UsageError when the data lacks what the plan needs.
    """
    examples = Examples(prepared, schema, rows, plan, "train", partial(encode, encoder))
    return _dataset(examples, encoder, seed, epoch, skip_batches)


def validation_batches(
    prepared: Prepared, encoder: Encoder, schema: Schema, rows: TrainingRows, plan: Plan, seed: int
) -> tf.data.Dataset:
    """The validation part in the order of its files, with the same negatives each time."""
    examples = Examples(prepared, schema, rows, plan, "validation", partial(encode, encoder))
    return _dataset(examples, encoder, seed, None, 0)


def steps_per_epoch(prepared: Prepared, schema: Schema, rows: TrainingRows, plan: Plan) -> int:
    """Batches of an epoch. Where users have seen nearly every item, so that negatives are not found, it may be less."""
    return -(-Examples(prepared, schema, rows, plan, "train").count() // plan.batch_size)


def _dataset(examples: Examples, encoder: Encoder, seed: int, epoch: Optional[int], skip: int) -> tf.data.Dataset:
    def batches() -> Iterator[Dict[str, Any]]:
        return (_structure(batch) for batch in examples.batches(seed, epoch, skip))

    def join(parts: Dict[str, Any]) -> TrainingBatch:
        return _join(parts, examples.schema, encoder)

    data = tf.data.Dataset.from_generator(batches, output_signature=_signature(examples, encoder))
    return data.map(join, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def encode(encoder: Encoder, raw: Rows) -> Rows:
    """Raw columns [n, ...] to encoded ones, by the function that signatures encode with. Empties `raw` as it goes.

    A feature and a few thousand rows at a time: what the encoder makes on its way then stays small, and is soon gone.
    """
    found: Rows = {}
    for feature in encoder.schema.features:
        cells = {column.name: raw.pop(column.name) for column in feature.columns() if column.name in raw}
        starts = range(0, max(row_files.count(cells), 1), _CHUNK)
        parts = [encoder({name: _tensor(values[at : at + _CHUNK]) for name, values in cells.items()}) for at in starts]
        found.update(row_files.concatenate([{name: cut.numpy() for name, cut in part.items()} for part in parts]))
    return found


def _tensor(cells: np.ndarray) -> tf.Tensor:
    return tf.constant(cells, tf.string if cells.dtype == object else None)


def _structure(batch: Batch) -> Dict[str, Any]:
    found: Dict[str, Any] = {"rows": batch.rows, "numbers": batch.numbers}
    if batch.source is not None:
        found.update(items=batch.items, source=batch.source)
    return found


def _signature(examples: Examples, encoder: Encoder) -> Dict[str, Any]:
    schema = examples.schema
    numbers = {name: tf.TensorSpec([None], tf.float32) for name in schema.training_only}
    for name in examples.item_labels:
        numbers[name] = tf.TensorSpec([None], _DTYPES[schema.feature(str(schema.roles.item)).dtype])
    found: Dict[str, Any] = {"rows": _specs(examples.row_columns, encoder), "numbers": numbers}
    if examples.negatives is not None:
        found.update(items=_specs(examples.item_columns, encoder), source=tf.TensorSpec([None], tf.int32))
    return found


def _specs(columns: Sequence[Column], encoder: Encoder) -> Dict[str, tf.TensorSpec]:
    none = {c.name: tf.zeros([0, *(axis or 0 for axis in c.shape)], _DTYPES[c.dtype]) for c in columns}
    dtypes = {name: cells.dtype for name, cells in encoder(none).items()}
    return {column.name: tf.TensorSpec([None, *column.shape], dtypes[column.name]) for column in columns}


@tf.autograph.experimental.do_not_convert
def _join(parts: Dict[str, Any], schema: Schema, encoder: Encoder) -> TrainingBatch:
    features: Tensors = dict(parts["rows"])
    if "source" in parts:
        features = {name: tf.gather(cells, parts["source"]) for name, cells in features.items()}
        features.update(parts["items"])
    numbers = dict(parts["numbers"])
    for task in schema.tasks:
        if task.kind == "next_item":
            numbers[task.label] = encoder.ids(schema.feature(str(schema.roles.item)), numbers[task.label])
    return TrainingBatch(
        features,
        {label.name: numbers[label.name] for label in schema.labels},
        {mask.name: numbers[mask.name] for mask in schema.masks},
        {weight.name: numbers[weight.name] for weight in schema.sample_weights},
    )
