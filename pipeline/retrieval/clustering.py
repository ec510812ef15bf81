"""Items in blocks of neighbours: k-means lists, cut into blocks of equal capacity by norm or along their widest axis.

k-means alone leaves lists of all sizes, in which large and small vectors lie together. The largest dot products are of
the large ones, so a list is halved by norm while its norms differ; where they do not, as in two towers, by position
along its first principal axis. Outside the graph: this runs once, at export.
"""

from __future__ import annotations

from typing import List

import numpy as np
from sklearn.cluster import MiniBatchKMeans

CAPACITY = 64
"""Rows of a block. Of 32 to 128, the fewest rows read at a recall of 0.95 for the time that their centres take."""

_SAMPLE_PER_LIST = 100
_SAMPLE = 100_000
_CHUNK = 65_536
_AXIS_ROWS = 512
_AXIS_STEPS = 8
_NORM_SHARE = 0.5
"""By norm where its deviation is at least this share of the one along the axis. Norm counts for every user, the axis
only for those that look along it."""


def blocks(vectors: np.ndarray, lists: int, seed: int) -> np.ndarray:
    """Places of vectors [M, d] in blocks, int32 [n, CAPACITY], each place once; -1 behind the last of a block.

    Blocks of one list follow each other. The same for the same seed.
    """
    labels = _lists(vectors, lists, seed)
    order = np.argsort(labels, kind="stable").astype(np.int32)
    bounds = np.searchsorted(labels[order], np.arange(1, lists))
    norms = np.linalg.norm(vectors, axis=1)
    draw = np.random.default_rng(seed)
    found = [part for each in np.split(order, bounds) if len(each) for part in _halved(vectors, norms, each, draw)]
    table = np.full((len(found), CAPACITY), -1, np.int32)
    for row, part in zip(table, found):
        row[: len(part)] = part
    return table


def _lists(vectors: np.ndarray, lists: int, seed: int) -> np.ndarray:
    """The k-means list of each vector, learned from a sample."""
    draw = np.random.default_rng(seed)
    size = min(len(vectors), max(_SAMPLE, _SAMPLE_PER_LIST * lists))
    sample = vectors[np.sort(draw.choice(len(vectors), size, replace=False))]
    # Started from rows of the sample: k-means++ takes longer than the steps, and probes make up for the difference.
    learned = MiniBatchKMeans(lists, init="random", n_init=1, max_iter=5, batch_size=8192, random_state=seed)
    learned.fit(sample)
    parts = [learned.predict(vectors[at : at + _CHUNK]) for at in range(0, len(vectors), _CHUNK)]
    return np.concatenate(parts)


def _halved(vectors: np.ndarray, norms: np.ndarray, places: np.ndarray, draw: np.random.Generator) -> List[np.ndarray]:
    """Parts of at most CAPACITY places, as few as can be and of nearly one size."""
    parts = -(-len(places) // CAPACITY)
    if parts == 1:
        return [places]
    order = np.argsort(_key(vectors[places], norms[places], draw), kind="stable")
    cut = round(len(places) * (parts // 2) / parts)
    halves = places[order[:cut]], places[order[cut:]]
    return [part for half in halves for part in _halved(vectors, norms, half, draw)]


def _key(vectors: np.ndarray, norms: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """What a list [n, d] is ordered by before it is halved, [n]."""
    sample = vectors if len(vectors) <= _AXIS_ROWS else vectors[draw.choice(len(vectors), _AXIS_ROWS, replace=False)]
    centred = sample - sample.mean(axis=0)
    covariance = centred.T @ centred / len(centred)
    axis = covariance[np.argmax(np.diag(covariance))]
    for _ in range(_AXIS_STEPS):
        axis = covariance @ axis
        axis = axis / max(float(np.linalg.norm(axis)), 1e-12)
    deviation = float(np.sqrt(max(axis @ covariance @ axis, 0.0)))
    return norms if norms.std() >= _NORM_SHARE * deviation else vectors @ axis
