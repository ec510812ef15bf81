"""ScaNN (Guo et al., "Accelerating Large-Scale Inference with Anisotropic Vector Quantization", ICML 2020), by TFRS.

Its ops are not the stock server's: what holds this index needs an image with them. Learning it does not repeat exactly,
so two exports of one model may differ in a few answers.
"""

from __future__ import annotations

from typing import Any, Mapping, Tuple

import numpy as np
import tensorflow as tf

from pipeline.retrieval.top_k import LOWEST
from signatures.errors import UsageError

FEWEST_ITEMS = 16
"""Codewords of a block of coordinates, which are learned from as many items at least."""

_REORDERED = 1500
"""Candidates by approximate scores that are scored exactly: recall depends on this more than on anything else."""
_SHARE, _FEWEST_SEARCHED = 10, 64
"""One of ten leaves is searched, but 64 at least, as far as there are so many."""


class ScannIndex(tf.Module):
    """Vectors [M, d] by place, in a tree of `leaves`. Answers hold at most 1,500 items."""

    def __init__(self, vectors: np.ndarray, leaves: int) -> None:
        """Raises UsageError where ScaNN is not installed, or there are too few items for it."""
        super().__init__(name="scann")
        if len(vectors) < FEWEST_ITEMS:
            raise UsageError(
                f"retrieval.scann is true, but the catalogue has {len(vectors)} items and ScaNN learns from "
                f"{FEWEST_ITEMS} at least; set it to false"
            )
        layer = _layers().ScaNN
        self.leaves, self.searched = leaves, max(leaves // _SHARE, min(leaves, _FEWEST_SEARCHED))
        self._layer = layer(
            num_leaves=self.leaves,
            num_leaves_to_search=self.searched,
            num_reordering_candidates=min(len(vectors), _REORDERED),
        )
        self._layer.index(tf.constant(vectors, tf.float32))

    def search(self, users: tf.Tensor, width: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        """As `Index.search`; W is at most the number of candidates that are scored exactly."""
        # It refuses to find nothing, and fills its empty places with NaN.
        scores, places = self._layer(users, k=tf.maximum(width, 1))
        scores, places = (tf.ensure_shape(each, [None, None])[:, :width] for each in (scores, places))
        return tf.where(tf.math.is_nan(scores), LOWEST, scores), places

    def described(self) -> Mapping[str, Any]:
        return {"index": "scann", "lists": self.leaves, "probes": self.searched}


def _layers() -> Any:
    try:
        import scann  # noqa: F401  # tensorflow-recommenders looks for it when it is imported itself
    except ImportError as error:
        raise UsageError(
            f"retrieval.scann is true, but ScaNN cannot be imported here ({error}); it has wheels for Linux on x86-64: "
            "export there, or set it to false"
        ) from error
    from tensorflow_recommenders.layers import factorized_top_k

    return factorized_top_k
