"""The builder's first product: features, labels, masks and sample weights to a loss. It owns the optimizer.

Weighting, masking and reducing happen here and nowhere else: per task sum(w m l) / max(sum(w m), 1).
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import tensorflow as tf
import tf_keras as keras

from pipeline.batches import TrainingBatch
from pipeline.embeddings import fused_tables
from pipeline.encoding import Tensors
from pipeline.gradients import all_finite, clip
from pipeline.row_updates import RowGradient, RowUpdates, distinct
from pipeline.schema import Task


class TrainingGraph(keras.Model):
    """Trains a model with Keras' `fit` on a dataset of TrainingBatch."""

    def __init__(
        self,
        model: Any,
        tasks: Tuple[Task, ...],
        task_weights: Dict[str, float],
        accumulate: int = 1,
        *,
        clip_norm: Optional[float] = None,
        row_updates: Optional[Callable[[List[tf.Variable]], RowUpdates]] = None,
    ) -> None:
        """`row_updates` makes what updates the fused tables of the model; other variables are the optimizer's."""
        super().__init__(name="training_graph")
        self.model = model
        self._tasks = tasks
        self._task_weights = task_weights
        self._accumulate = accumulate
        self._clip_norm = clip_norm
        self._make_rows = row_updates
        self._rows: Optional[RowUpdates] = None
        self._means = {name: keras.metrics.Mean(name=name) for name in ("loss", *(f"loss_{t.name}" for t in tasks))}
        self._sums: List[tf.Variable] = []
        self._pending = tf.Variable(0, trainable=False, dtype=tf.int32, name="pending_batches")

    @property
    def metrics(self) -> List[keras.metrics.Metric]:
        return list(self._means.values())

    def call(self, features: Tensors, training: bool = False) -> Dict[str, tf.Tensor]:
        return self.model(features, training=training)

    def prepare(self, example: TrainingBatch) -> None:
        """Makes every variable of the model and of the optimizer, so that a checkpoint can be read into them."""
        self.model(example.features)
        self.loss_of(example, training=False)
        if self._make_rows is not None and self._rows is None:
            self._rows = self._make_rows(fused_tables(self.model))
        dense = self._dense()
        self.optimizer.build(dense)
        if self._accumulate > 1 and not self._sums:
            self._sums = [tf.Variable(tf.zeros_like(v), trainable=False, name="gradient_sum") for v in dense]

    def loss_of(self, batch: TrainingBatch, training: bool) -> Tuple[tf.Tensor, Dict[str, tf.Tensor]]:
        """The weighted total, and each task's reduced loss; scalars, float32."""
        losses = self.model.losses(batch, training)
        by_task = {task.name: reduce(losses[task.name], task, batch) for task in self._tasks}
        total = tf.add_n([self._task_weights.get(name, 1.0) * loss for name, loss in by_task.items()])
        return total, by_task

    def train_step(self, batch: TrainingBatch) -> Dict[str, tf.Tensor]:
        # At the end of the data Keras starts one step more, which fails for want of a batch. Whatever counts or draws
        # must wait for one: a random state that moves in the meantime is not the one that a resumed run starts from.
        with tf.control_dependencies(tf.nest.flatten(batch)):
            return self._step(batch)

    def _step(self, batch: TrainingBatch) -> Dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            total, by_task = self.loss_of(batch, training=True)
            scaled = self._scale(total)
        dense, tables = self._dense(), self._tables()
        found = self._unscale(tape.gradient(scaled, [*dense, *tables]))
        gradients, rows = found[: len(dense)], self._row_gradients(found[len(dense) :])
        if self._accumulate == 1:
            self._apply(gradients, rows)
        else:
            self._gather(gradients, rows)
        return self._report(total, by_task)

    def test_step(self, batch: TrainingBatch) -> Dict[str, tf.Tensor]:
        return self._report(*self.loss_of(batch, training=False))

    def _report(self, total: tf.Tensor, by_task: Dict[str, tf.Tensor]) -> Dict[str, tf.Tensor]:
        self._means["loss"].update_state(total)
        for name, loss in by_task.items():
            self._means[f"loss_{name}"].update_state(loss)
        return {name: mean.result() for name, mean in self._means.items()}

    def _scale(self, loss: tf.Tensor) -> tf.Tensor:
        scaling = isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer)
        return self.optimizer.get_scaled_loss(loss) if scaling else loss

    def _unscale(self, gradients: List[Any]) -> List[Any]:
        scaling = isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer)
        return self.optimizer.get_unscaled_gradients(gradients) if scaling else gradients

    def _dense(self) -> List[tf.Variable]:
        """What the optimizer updates."""
        lazy = {id(table) for table in self._tables()}
        return [variable for variable in self.model.trainable_variables if id(variable) not in lazy]

    def _tables(self) -> List[tf.Variable]:
        return self._rows.tables if self._rows is not None else []

    def _row_gradients(self, found: List[Any]) -> List[Optional[RowGradient]]:
        if self._rows is None:
            return []
        summed = [None if each is None else distinct(each) for each in found]
        return [each if each is None else self._rows.regularised(table, each) for table, each in enumerate(summed)]

    def _apply(self, gradients: List[Any], rows: Sequence[Optional[RowGradient]]) -> None:
        if self._clip_norm is not None:
            gradients, rows = clip(gradients, rows, self._clip_norm)
        number = self.optimizer.iterations + 1
        if self._rows is not None and isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer):
            # A step whose gradients overflow is not taken: by the optimizer, which looks for itself, nor by the rows.
            finite = all_finite(gradients, rows)
            if finite:
                self._rows.apply(rows, number, self.optimizer.learning_rate)
            gradients = [None if g is None else tf.where(finite, g, float("nan")) for g in gradients]
        elif self._rows is not None:
            self._rows.apply(rows, number, self.optimizer.learning_rate)
        self.optimizer.apply_gradients([(g, v) for g, v in zip(gradients, self._dense()) if g is not None])

    def _gather(self, gradients: List[Any], rows: Sequence[Optional[RowGradient]]) -> None:
        """Adds one batch's share to the running mean of gradients; steps at every `accumulate`-th batch."""
        for total, gradient in zip(self._sums, gradients):
            if gradient is not None:
                total.assign_add(tf.convert_to_tensor(gradient) / self._accumulate)
        if self._rows is not None:
            self._rows.gather(rows, 1 / self._accumulate)
        if tf.equal(self._pending.assign_add(1), self._accumulate):
            gathered = self._rows.gathered() if self._rows is not None else []
            self._apply([tf.convert_to_tensor(total) for total in self._sums], gathered)
            for total in self._sums:
                total.assign(tf.zeros_like(total))
            self._pending.assign(0)


def reduce(loss: tf.Tensor, task: Task, batch: TrainingBatch) -> tf.Tensor:
    """sum(w m l) / max(sum(w m), 1) of loss [B]: a row without weight or outside the mask has no say at all."""
    counts = tf.ones_like(loss)
    if task.sample_weight is not None:
        counts *= tf.cast(batch.sample_weights[task.sample_weight], loss.dtype)
    if task.mask is not None:
        counts *= tf.cast(batch.masks[task.mask], loss.dtype)
    # A masked row may hold anything, NaN included, and NaN * 0 is NaN.
    kept = tf.where(counts > 0, loss, 0.0)
    return tf.reduce_sum(counts * kept) / tf.maximum(tf.reduce_sum(counts), 1.0)
