"""Lazy updates of embedding tables: a step reads and writes the rows of its batch and no other.

For the rows that a batch touches, the rules are Keras' own, with the same constants. What is lazy: a row that the batch
does not touch keeps its weights and its moments as they are, where the dense rule would let them decay and drift (as in
TensorFlow Addons' LazyAdam). Adam corrects its bias by the number of all steps, not by how often the row was touched.
"""

from __future__ import annotations

from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import tensorflow as tf

EPSILON = 1e-7
BETA_1, BETA_2 = 0.9, 0.999
ADAGRAD_START = 0.1


class RowGradient(NamedTuple):
    """The gradient of a table: rows int32 or int64 [U], each once; values float32 [U, D], zero in all other rows."""

    rows: tf.Tensor
    values: tf.Tensor


class Step(NamedTuple):
    """Scalars of one step; `number` counts from 1."""

    number: tf.Tensor
    learning_rate: tf.Tensor
    weight_decay: float = 0.0
    momentum: float = 0.0


Slots = Tuple[tf.Tensor, ...]
Update = Callable[[Step, tf.Tensor, tf.Tensor, Slots], Tuple[tf.Tensor, Slots]]


class Rule(NamedTuple):
    """An optimizer on rows [U, D]: how many slots it keeps, what they start at, and what a step makes of them."""

    slots: int
    start: float
    update: Update


def distinct(gradient: tf.IndexedSlices) -> RowGradient:
    """Sums what a batch says of the same row: an id that it holds twice is one row with one step."""
    rows, place = tf.unique(gradient.indices)
    values = tf.cast(gradient.values, tf.float32)
    return RowGradient(rows, tf.math.unsorted_segment_sum(values, place, tf.size(rows)))


def _adam(step: Step, w: tf.Tensor, g: tf.Tensor, slots: Slots) -> Tuple[tf.Tensor, Slots]:
    m, v = slots
    m += (g - m) * (1 - BETA_1)
    v += (tf.square(g) - v) * (1 - BETA_2)
    number = tf.cast(step.number, tf.float32)
    rate = step.learning_rate * tf.sqrt(1 - tf.pow(BETA_2, number)) / (1 - tf.pow(BETA_1, number))
    return w - rate * m / (tf.sqrt(v) + EPSILON), (m, v)


def _adamw(step: Step, w: tf.Tensor, g: tf.Tensor, slots: Slots) -> Tuple[tf.Tensor, Slots]:
    return _adam(step, w * (1 - step.weight_decay * step.learning_rate), g, slots)


def _adagrad(step: Step, w: tf.Tensor, g: tf.Tensor, slots: Slots) -> Tuple[tf.Tensor, Slots]:
    total = slots[0] + tf.square(g)
    return w - step.learning_rate * g / tf.sqrt(total + EPSILON), (total,)


def _momentum(step: Step, w: tf.Tensor, g: tf.Tensor, slots: Slots) -> Tuple[tf.Tensor, Slots]:
    velocity = step.momentum * slots[0] - step.learning_rate * g
    return w + velocity, (velocity,)


RULES: Dict[str, Rule] = {
    "adam": Rule(2, 0.0, _adam),
    "adamw": Rule(2, 0.0, _adamw),
    "adagrad": Rule(1, ADAGRAD_START, _adagrad),
    "sgd": Rule(1, 0.0, _momentum),
}


class RowUpdates(tf.Module):
    """The slots of some tables and, where gradients are gathered over several batches, their sums."""

    def __init__(
        self,
        rule: Rule,
        tables: Sequence[tf.Variable],
        *,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        l2: float = 0.0,
        gathers: bool = False,
    ) -> None:
        super().__init__(name="row_updates")
        self.tables = list(tables)
        self._rule, self._weight_decay, self._momentum, self._l2 = rule, weight_decay, momentum, l2
        self._slots = [_variable(rule.start, (t.shape[0], rule.slots * t.shape[1]), "row_slots") for t in self.tables]
        self._sums = [_variable(0.0, t.shape, "row_gradient_sum") for t in self.tables] if gathers else []
        self._touched = [_variable(False, t.shape[:1], "row_touched") for t in self.tables] if gathers else []

    def regularised(self, table: int, gradient: RowGradient) -> RowGradient:
        """Adds L2 on the rows of the batch: l2 w, each row once however often the batch holds it.

        Mini-batch aware regularisation (Zhou et al., KDD 2018, eq. 7) without its 1 / n_j: how often a row occurs in
        all of the data is left to `l2`.
        """
        if not self._l2:
            return gradient
        rows = tf.gather(self.tables[table], gradient.rows)
        return RowGradient(gradient.rows, gradient.values + self._l2 * tf.cast(rows, tf.float32))

    def apply(self, gradients: Sequence[Optional[RowGradient]], number: tf.Tensor, learning_rate: tf.Tensor) -> None:
        """One step of each table that has a gradient."""
        step = Step(number, tf.cast(learning_rate, tf.float32), self._weight_decay, self._momentum)
        for table, slots, gradient in zip(self.tables, self._slots, gradients):
            if gradient is not None:
                held = tf.split(tf.gather(slots, gradient.rows), self._rule.slots, axis=1)
                w, new = self._rule.update(step, tf.gather(table, gradient.rows), gradient.values, tuple(held))
                table.scatter_update(tf.IndexedSlices(w, gradient.rows))
                slots.scatter_update(tf.IndexedSlices(tf.concat(new, axis=1), gradient.rows))

    def gather(self, gradients: Sequence[Optional[RowGradient]], share: float) -> None:
        """Adds `share` of one batch's gradients to the sums."""
        for total, touched, gradient in zip(self._sums, self._touched, gradients):
            if gradient is not None:
                total.scatter_add(tf.IndexedSlices(gradient.values * share, gradient.rows))
                touched.scatter_update(tf.IndexedSlices(tf.ones_like(gradient.rows, tf.bool), gradient.rows))

    def gathered(self) -> List[RowGradient]:
        """The sums, of the rows that were touched since the last time; they are zero again afterwards."""
        found = []
        for total, touched in zip(self._sums, self._touched):
            rows = tf.where(touched)[:, 0]
            values = tf.gather(total, rows)
            total.scatter_update(tf.IndexedSlices(tf.zeros_like(values), rows))
            touched.scatter_update(tf.IndexedSlices(tf.zeros_like(rows, tf.bool), rows))
            found.append(RowGradient(rows, values))
        return found


def _variable(start: object, shape: object, name: str) -> tf.Variable:
    return tf.Variable(tf.fill(shape, start), trainable=False, name=name)
