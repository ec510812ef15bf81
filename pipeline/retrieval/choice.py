"""Which index an experiment asks for, by the size of its catalogue."""

from __future__ import annotations

from typing import Optional

import numpy as np

from pipeline.experiment import Retrieval
from pipeline.retrieval import recall
from pipeline.retrieval.catalogue import Index
from pipeline.retrieval.exact import ExactIndex
from pipeline.retrieval.inverted_file import InvertedFile, cluster
from signatures.errors import UsageError

_SHARE = 8
"""Of this many blocks one is probed, where neither `probes` nor users to choose it by are given."""


def index_of(wanted: Retrieval, vectors: np.ndarray, seed: int, users: Optional[np.ndarray] = None) -> Index:
    """The index over vectors [M, d]. `users` [U, d] are those that the number of probes is chosen by.

    Raises UsageError for more lists than there are items.
    """
    if searches_all(wanted, len(vectors)):
        return ExactIndex(vectors)
    found = cluster(vectors, lists_of(wanted, len(vectors)), seed)
    probes = wanted.probes
    if probes is None and users is not None and len(users):
        probes = found.fewest_probes(users, list(recall.best(users, vectors).values()), wanted.recall)
    return InvertedFile(vectors, found, probes or -(-len(found.places) // _SHARE))


def searches_all(wanted: Retrieval, items: int) -> bool:
    """Whether a catalogue of this size gets the exact index."""
    return items <= wanted.exact_items if wanted.index == "auto" else wanted.index == "exact"


def lists_of(wanted: Retrieval, items: int) -> int:
    """The number of k-means lists. Raises UsageError where there are fewer items."""
    if wanted.lists is None:
        return int(2 ** round(np.log2(max(items, 1)) / 2))
    if wanted.lists > items:
        raise UsageError(f"retrieval.lists is {wanted.lists}, but the catalogue has {items} items; use at most as many")
    return wanted.lists
