"""Scores of candidates: by a model, or by popularity, which needs none."""

from __future__ import annotations

from typing import Any, Dict, Optional, Protocol, Tuple, runtime_checkable

import numpy as np
import tensorflow as tf

from pipeline.encoding import Encoder, Tensors
from pipeline.items import ItemTable
from pipeline.rows import Rows, count
from pipeline.schema import Column, Schema
from signatures.errors import UsageError

_PAIRS = 2048
"""Pairs of user and item scored at once. More is no faster, and where each pair attends to a history of 50 the layers'
outputs (80 units: 33 MB) fall out of the cache: measured on DIN, 8192 takes 1.5 times the CPU time."""
_USERS = 256
"""Users encoded at once."""

_TF_TYPES = {"int64": tf.int64, "string": tf.string, "float32": tf.float32}


class Scorer(Protocol):
    """Anything that can order candidates."""

    def score(self, rows: Rows, positions: np.ndarray) -> np.ndarray:
        """float32 [n, N], higher is better: n rows of user and context columns, positions [n, N] in the item table."""


@runtime_checkable
class Predictor(Scorer, Protocol):
    """A scorer that answers each binary task."""

    probability: bool
    """Whether the sigmoid of its logit is meant as a probability, so that log loss and calibration say something."""

    def logits(self, rows: Rows, positions: np.ndarray) -> Dict[str, np.ndarray]:
        """{binary task: float32 [n, N]} of what `score` takes."""

    def predict(self, rows: Rows) -> Dict[str, np.ndarray]:
        """{binary task: float32 [n]} of n rows with the columns of every feature."""


class Popularity:
    """Every user gets the items in the order of their events in the training part: the baseline of every table."""

    probability = False

    def __init__(self, items: ItemTable, schema: Schema) -> None:
        """`items` and `schema` of one prepared data set; the schema names the item column."""
        self._items = items
        self._counts = items.counts.astype(np.float32)
        self._item = str(schema.roles.item)
        self._tasks = tuple(task.name for task in schema.tasks if task.kind == "binary")

    def score(self, rows: Rows, positions: np.ndarray) -> np.ndarray:
        """Training events [n, N] of the candidates."""
        return self._counts[positions]

    def logits(self, rows: Rows, positions: np.ndarray) -> Dict[str, np.ndarray]:
        """The same for each binary task."""
        return dict.fromkeys(self._tasks, self._counts[positions])

    def predict(self, rows: Rows) -> Dict[str, np.ndarray]:
        """Training events of each row's own item; 0 for an item that is not in the table."""
        place = self._items.index(rows[self._item])
        counts = np.where(place >= 0, self._counts[place], np.float32(0))
        return dict.fromkeys(self._tasks, counts)


class ModelScorer:
    """A model's logits, as it is when asked: the variables may be trained on between two calls."""

    def __init__(
        self,
        encoder: Encoder,
        model: Any,
        items: Optional[ItemTable],
        task: Optional[str] = None,
        probability: bool = True,
    ) -> None:
        """model: see `pipeline.models.specification.Model`. items: None where nothing is ranked.

        task: the one whose logit orders candidates; the first of the encoder's schema unless given. probability: False
        where the model's logit is a similarity (`ModelSpec.score`).
        """
        self.probability = probability
        self._encoder, self._model = encoder, model
        schema = encoder.schema
        self._task = schema.task(task).name if task is not None else schema.tasks[0].name
        self._binary = tuple(t.name for t in schema.tasks if t.kind == "binary")
        self._columns = schema.columns()
        self._user_columns = schema.columns("user") + schema.columns("context")
        self._unrankable = _unrankable(schema, items)
        self._items = _encoded_items(encoder, items) if items is not None and not self._unrankable else {}
        rows, user_rows = _specification(self._columns), _specification(self._user_columns)
        # One trace for every batch size, list length and number of candidates.
        self._predict = tf.function(self._traced_predict, input_signature=[rows])
        self._rank = tf.function(self._traced_rank, input_signature=[user_rows, tf.TensorSpec((None, None), tf.int32)])

    def score(self, rows: Rows, positions: np.ndarray) -> np.ndarray:
        """float32 [n, N] logits of the ordering task. UsageError where candidates lack what the model reads."""
        return self._all(rows, positions)[self._task]

    def logits(self, rows: Rows, positions: np.ndarray) -> Dict[str, np.ndarray]:
        """{binary task: float32 [n, N]}."""
        found = self._all(rows, positions)
        return {task: found[task] for task in self._binary}

    def predict(self, rows: Rows) -> Dict[str, np.ndarray]:
        """{binary task: float32 [n]}."""
        names = _names(self._columns)
        found: Dict[str, np.ndarray] = {task: np.empty(count(rows), np.float32) for task in self._binary}
        for start in range(0, count(rows), _USERS):
            batch = _tensors(_between(rows, names, start, start + _USERS), self._columns)
            for task, logits in self._predict(batch).items():
                found[task][start : start + _USERS] = logits.numpy()
        return found

    def _all(self, rows: Rows, positions: np.ndarray) -> Dict[str, np.ndarray]:
        """{task: [n, N]}, so many users at once, and so many candidates, that memory stays bounded."""
        if self._unrankable:
            raise UsageError(self._unrankable)
        length, candidates = positions.shape
        users = min(_USERS, max(1, _PAIRS // max(1, candidates)))
        found = {task.name: np.empty(positions.shape, np.float32) for task in self._encoder.schema.tasks}
        names = _names(self._user_columns)
        for start in range(0, length, users):
            batch = _tensors(_between(rows, names, start, start + users), self._user_columns)
            for first in range(0, candidates, _PAIRS):
                own = positions[start : start + users, first : first + _PAIRS].astype(np.int32)
                for task, logits in self._rank(batch, tf.constant(own)).items():
                    found[task][start : start + users, first : first + _PAIRS] = logits.numpy()
        return found

    def _traced_predict(self, raw: Tensors) -> Tensors:
        logits = self._model(self._encoder(raw), training=False)
        return {task: tf.cast(logits[task], tf.float32) for task in self._binary}

    def _traced_rank(self, raw: Tensors, positions: tf.Tensor) -> Tensors:
        item = {name: tf.gather(cells, positions) for name, cells in self._items.items()}
        logits = self._model.rank(self._encoder(raw), item)
        return {task: tf.cast(value, tf.float32) for task, value in logits.items()}


def _unrankable(schema: Schema, items: Optional[ItemTable]) -> str:
    """Why candidates cannot be scored, as a sentence with the cure; empty where they can."""
    if items is None:
        return "this scorer was made without an item table, so it cannot rank; give it one"
    missing = [name for name in _names(_item_columns(schema)) if name not in items.rows]
    if not missing:
        return ""
    return (
        f"column {missing[0]!r} depends on user and item together and items.parquet has none, so candidates that "
        "were never shown cannot be ranked by it; leave the feature out, or evaluate labelled rows"
    )


def _encoded_items(encoder: Encoder, items: ItemTable) -> Tensors:
    """Item-side features of all M items, encoded once: [M, ...]."""
    columns = _item_columns(encoder.schema)
    return encoder(_tensors({name: items.rows[name] for name in _names(columns)}, columns))


def _item_columns(schema: Schema) -> Tuple[Column, ...]:
    return schema.columns("item") + schema.columns("cross")


def _specification(columns: Tuple[Column, ...]) -> Dict[str, tf.TensorSpec]:
    return {column.name: tf.TensorSpec((None, *column.shape), _TF_TYPES[column.dtype]) for column in columns}


def _tensors(rows: Rows, columns: Tuple[Column, ...]) -> Tensors:
    return {column.name: tf.constant(rows[column.name], _TF_TYPES[column.dtype]) for column in columns}


def _between(rows: Rows, names: Tuple[str, ...], start: int, stop: int) -> Rows:
    return {name: rows[name][start:stop] for name in names}


def _names(columns: Tuple[Column, ...]) -> Tuple[str, ...]:
    return tuple(column.name for column in columns)
