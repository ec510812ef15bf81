"""What the training graph is fed: four dicts kept apart, so that no model can be handed what is not a feature."""

from __future__ import annotations

from typing import Dict, NamedTuple

import tensorflow as tf


class TrainingBatch(NamedTuple):
    """One batch of B examples. Features are encoded (see `pipeline.encoding`), the rest is [B].

    labels: float32 for binary tasks, int32 rows of the item table for next_item.
    masks: float32, 1 where the row counts in the task's loss and 0 where it does not.
    sample_weights: float32 >= 0, how much the row counts.
    """

    features: Dict[str, tf.Tensor]
    labels: Dict[str, tf.Tensor]
    masks: Dict[str, tf.Tensor]
    sample_weights: Dict[str, tf.Tensor]
