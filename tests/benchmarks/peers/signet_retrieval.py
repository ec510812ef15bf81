"""Signet's side of the retrieval comparisons: what `retrieve` searches, with its ids, over vectors that are given."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import numpy as np
import tensorflow as tf

from pipeline.experiment import Retrieval
from pipeline.retrieval.catalogue import Catalogue, Identities, Index
from pipeline.retrieval.choice import index_of, lists_of
from pipeline.retrieval.scann_index import ScannIndex
from tests.benchmarks.peers import data, tfrs_side
from tests.benchmarks.peers.work import Settings, Work

SEED = 1
RECALL = 0.96
"""Of the queries that the number of probes is chosen by; what is asked for of others is 0.95."""


def exact(settings: Settings) -> Work:
    """Every item is scored."""
    wanted = Retrieval(index="exact")
    return _asked(settings, lambda vectors: index_of(wanted, vectors, SEED), tfrs_side.every_item(settings))


def inverted_file(settings: Settings) -> Work:
    """The blocks that look best are scored, as many as other queries need."""
    wanted = Retrieval(index="inverted_file", recall=RECALL)
    users = data.vectors(256, settings["width"], seed=4)
    return _asked(settings, lambda vectors: index_of(wanted, vectors, SEED, users), {})


def scann(settings: Settings) -> Work:
    """The optional index, whose ops a stock server lacks."""
    return _asked(settings, lambda vectors: ScannIndex(vectors, lists_of(Retrieval(), len(vectors))), {})


def _asked(settings: Settings, make: Any, facts: Dict[str, Any]) -> Work:
    vectors = tfrs_side.items(settings)
    # Ids that are no positions, as those of a catalogue.
    identities = Identities(np.arange(settings["items"], dtype=np.int64) + 1)
    index: Index = make(vectors[identities.order])
    catalogue = Catalogue(identities, index)

    @tf.function(autograph=False, reduce_retracing=True)
    def top(users: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        batch = tf.shape(users)[0]
        return catalogue.top(users, tf.fill([batch], tfrs_side.TOP), tf.zeros([batch, 0], tf.int32))

    def answer(users: tf.Tensor) -> Tuple[np.ndarray, np.ndarray]:
        ids, scores = top(users)
        return scores.numpy(), ids.numpy() - 1

    return tfrs_side.asked(settings, answer, {**facts, **index.described()})
