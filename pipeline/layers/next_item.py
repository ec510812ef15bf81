"""Losses of predicting the next item at every position, for models whose score is <state, item vector>.

    bce:              -beta log s(r_target) - sum_j log(1 - s(r_j)), j drawn for each position, never the target
    sampled_softmax:  -log( exp r_target / (exp r_target + sum_j exp r_j) ), j drawn once for all positions; where the
                      target itself is drawn, that draw is left out (an accidental hit)
    full_softmax:     the same with every item

beta = alpha (t (1 - 1/alpha) + 1/alpha), alpha = negatives / (items - 1): Petrov & Macdonald, gSASRec, RecSys 2023.
All draws are uniform, so a correction for their probability would be the same for all and cancel.
"""

from __future__ import annotations

from typing import Callable, Literal

import pydantic
import tensorflow as tf

from pipeline.layers.pooling import valid_cells
from pipeline.models.specification import Config

Vectors = Callable[[tf.Tensor], tf.Tensor]
"""Item ids [...] to vectors [..., D]."""

_EXCLUDED = -1e9
"""Logit, float32, of a draw that does not count: finite, as a gradient through -inf is NaN."""


class NextItemConfig(Config):
    """Which loss, and how it draws."""

    loss: Literal["bce", "sampled_softmax", "full_softmax"] = "bce"
    negatives: int = pydantic.Field(4, ge=1)
    """Drawn for each position; bce only."""
    shared_negatives: int = pydantic.Field(512, ge=1)
    """Drawn for all positions of a batch together; sampled_softmax only."""
    calibration: float = pydantic.Field(0.0, ge=0, le=1)
    """t of gBCE: 0 is plain bce, 1 undoes the overconfidence that comes of few negatives; bce only."""


class NextItemLoss(tf.Module):
    """One of the losses above. The items are the rows from `first` to before `rows`.

    The state of its draws is in checkpoints, so a resumed run repeats them.
    """

    def __init__(self, config: NextItemConfig, first: int, rows: int, *, seed: int) -> None:
        super().__init__(name="next_item_loss")
        if rows - first < 2:
            raise ValueError(f"a next item needs at least 2 items to choose from. Received: {max(rows - first, 0)}")
        self._config, self._first, self._rows, self._seed = config, first, rows, seed
        self._generator = tf.random.Generator.from_seed(seed)

    def __call__(self, states: tf.Tensor, targets: tf.Tensor, vectors: Vectors, training: bool) -> tf.Tensor:
        """states [B, L, D] and the ids of their next items, int32 [B, L], to losses [B, L], float32.

        A target below `first` (missing, out of vocabulary) is no item: loss 0.
        """
        present = targets >= self._first
        safe = tf.where(present, targets, self._first)
        losses = {"bce": self._bce, "sampled_softmax": self._sampled, "full_softmax": self._full}
        return tf.where(present, losses[self._config.loss](states, safe, vectors, training), 0.0)

    def _bce(self, states: tf.Tensor, targets: tf.Tensor, vectors: Vectors, training: bool) -> tf.Tensor:
        shape = tf.concat([tf.shape(targets), [self._config.negatives]], axis=0)
        drawn = self._draw(shape, self._rows - 1, training)
        # One item fewer to draw from, and those from the target on move up by one: uniform over all the others.
        negatives = tf.where(drawn < targets[..., tf.newaxis], drawn, drawn + 1)
        candidates = vectors(tf.concat([targets[..., tf.newaxis], negatives], axis=-1))
        logits = tf.cast(tf.einsum("bld,blnd->bln", states, candidates), tf.float32)
        return binary_loss(logits, beta(self._config.negatives, self._rows - self._first, self._config.calibration))

    def _sampled(self, states: tf.Tensor, targets: tf.Tensor, vectors: Vectors, training: bool) -> tf.Tensor:
        negatives = self._draw(tf.constant([self._config.shared_negatives]), self._rows, training)
        positive = tf.einsum("bld,bld->bl", states, vectors(targets))
        negative = tf.einsum("bld,nd->bln", states, vectors(negatives))
        counts = tf.not_equal(targets[..., tf.newaxis], negatives)
        return softmax_loss(tf.cast(positive, tf.float32), tf.cast(negative, tf.float32), counts)

    def _full(self, states: tf.Tensor, targets: tf.Tensor, vectors: Vectors, training: bool) -> tf.Tensor:
        logits = tf.einsum("bld,nd->bln", states, vectors(tf.range(self._first, self._rows)))
        return tf.nn.sparse_softmax_cross_entropy_with_logits(targets - self._first, tf.cast(logits, tf.float32))

    def _draw(self, shape: tf.Tensor, end: int, training: bool) -> tf.Tensor:
        """int32 ids of this shape, uniform from `first` to before `end`."""
        if training:
            return self._generator.uniform(shape, self._first, end, tf.int32)
        # Measuring a loss must neither move the training's draws nor change from one time to the next.
        return tf.random.stateless_uniform(shape, (self._seed, 0), self._first, end, tf.int32)


def binary_loss(logits: tf.Tensor, positive_weight: float) -> tf.Tensor:
    """logits [..., 1 + n], the target's first, to [...]: -positive_weight log s(r_0) - sum_j log(1 - s(r_j))."""
    return positive_weight * tf.nn.softplus(-logits[..., 0]) + tf.reduce_sum(tf.nn.softplus(logits[..., 1:]), axis=-1)


def softmax_loss(positive: tf.Tensor, negative: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    """-log softmax of positive [...] among itself and those of negative [..., N] where counts, bool [..., N]; [...]."""
    allowed = tf.where(counts, negative, _EXCLUDED)
    return tf.reduce_logsumexp(tf.concat([positive[..., tf.newaxis], allowed], axis=-1), axis=-1) - positive


def beta(negatives: int, items: int, calibration: float) -> float:
    """Exponent of the target's probability in gBCE; 1 without calibration, negatives / (items - 1) with all of it."""
    alpha = negatives / (items - 1)
    return alpha * (calibration * (1.0 - 1.0 / alpha) + 1.0 / alpha)


def next_items(history: tf.Tensor, length: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """What comes after each cell of history [B, L]: the cell behind it, after the last the label [B]; 0 beyond."""
    width = tf.shape(history)[1]
    shifted = tf.pad(history, [[0, 0], [0, 1]])[:, 1:]
    is_last = tf.equal(tf.range(width), length[:, tf.newaxis] - 1)
    following = tf.where(is_last, label[:, tf.newaxis], shifted)
    return tf.where(valid_cells(length, width), following, 0)
