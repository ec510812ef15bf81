"""Losses per example, unweighted and unreduced: the training graph weights, masks and reduces, once, for all models."""

from __future__ import annotations

from typing import Dict, Mapping

import tensorflow as tf

from pipeline.batches import TrainingBatch


def binary_cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """-[y log s(z) + (1-y) log(1-s(z))] of logits and labels of one shape; the same shape, float32."""
    z = tf.cast(logits, tf.float32)
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.cast(labels, tf.float32), logits=z)


def pointwise(logits: Mapping[str, tf.Tensor], labels: Mapping[str, str], batch: TrainingBatch) -> Dict[str, tf.Tensor]:
    """{task: binary cross-entropy [B]}; `labels` says which label each task is about."""
    return {task: binary_cross_entropy(z, batch.labels[labels[task]]) for task, z in logits.items()}
