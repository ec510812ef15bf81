"""Whom a model serves well: figures by how active the user was in training, and by how popular the item was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import rows as row_files
from pipeline.evaluation import bootstrap, metrics
from pipeline.evaluation.aspects import Slice
from pipeline.evaluation.bootstrap import Draws, Resamples
from pipeline.items import ItemTable
from pipeline.prepared import Prepared

ACTIVITY, POPULARITY = "activity of the user", "popularity of the item"
_QUANTILES = (0.25, 0.5, 0.75)
_SHARES = (("head", 0.5), ("torso", 0.9), ("tail", 1.0))
"""Of the training events, from the most popular item on: half of them are the head's, the last tenth the tail's."""


@dataclass(frozen=True)
class Slicing:
    """One way to divide the lists, or the labelled rows."""

    by: str
    names: Tuple[str, ...]
    of: np.ndarray
    """[n] int64: the place among the names."""


def by_activity(events: np.ndarray, users: np.ndarray) -> Slicing:
    """Quarters of the users evaluated: `events` [n] are the training events of each row's user, `users` [n] its id."""
    _, first = np.unique(users, return_index=True)
    edges = np.unique(np.quantile(events[first], _QUANTILES, method="lower"))
    kept, of = np.unique(np.searchsorted(edges, events, side="left"), return_inverse=True)
    inside = [events[of == place] for place in range(len(kept))]
    return Slicing(ACTIVITY, tuple(f"{_span(own)} training events" for own in inside), of)


def by_popularity(counts: np.ndarray, positions: np.ndarray) -> Slicing:
    """Head, torso and tail: counts [M] of all items, positions [n] of each row's own item among them."""
    order = np.argsort(-counts, kind="stable")
    before = np.empty(len(counts))
    before[order] = (np.cumsum(counts[order]) - counts[order]) / max(1, counts.sum())
    # An item belongs to the part in which its first event lies; one without any event, to the tail.
    part = np.searchsorted([share for _, share in _SHARES[:-1]], before, side="right")
    part[counts == 0] = len(_SHARES) - 1
    sizes = np.bincount(part, minlength=len(_SHARES))
    names = tuple(f"{name}, {size:,} {'item' if size == 1 else 'items'}" for (name, _), size in zip(_SHARES, sizes))
    kept, of = np.unique(part[positions], return_inverse=True)
    return Slicing(POPULARITY, tuple(names[place] for place in kept), of)


def training_events(prepared: Prepared, users: np.ndarray) -> np.ndarray:
    """Rows of the training part of each of these raw user ids [n], int64 [n]."""
    user = str(prepared.schema.roles.user)
    counted = pc.value_counts(row_files.read_table(row_files.row_groups(prepared, "train"), [user])[user])
    known, counts = counted.field("values"), counted.field("counts").to_numpy()
    place = pc.fill_null(pc.index_in(pa.array(users, known.type), value_set=known), -1).to_numpy(zero_copy_only=False)
    return np.where(place >= 0, counts[place], 0).astype(np.int64)


def slicings(
    prepared: Prepared, users: Optional[np.ndarray], items: Optional[ItemTable], at: np.ndarray
) -> Tuple[Slicing, ...]:
    """All that the data allows: users [n] raw ids, `at` [n] positions of the items; rows of unknown items have -1."""
    found = []
    if users is not None:
        found.append(by_activity(training_events(prepared, users), users))
    if items is not None and (at >= 0).all():
        found.append(by_popularity(items.counts, at))
    return tuple(found)


@dataclass(frozen=True)
class Lists:
    """What one model made of the lists: their scores, and the ranks of their positives."""

    labels: np.ndarray
    """[n, N] or, of labelled rows, [n, 1]."""
    scores: np.ndarray
    ranks: Optional[np.ndarray]
    """[n]; None of labelled rows."""
    units: np.ndarray
    """[n] int64: who is drawn again."""


def figures(found: Lists, slicing: Slicing, k: int, resamples: Resamples) -> Tuple[Slice, ...]:
    """Pooled AUC, hit rate and NDCG of each slice, with the intervals of a bootstrap over users."""
    made = []
    for place, name in enumerate(slicing.names):
        own = np.flatnonzero(slicing.of == place)
        labels, scores = found.labels[own].ravel(), found.scores[own].ravel()
        units = np.repeat(found.units[own], found.scores.shape[1])
        values = {"auc": metrics.auc(labels, scores)}
        draws: Draws = {"auc": bootstrap.pooled_auc(labels, scores, units, resamples)}
        if found.ranks is not None:
            at = {f"hr@{k}": metrics.hit_rate(found.ranks[own], k), f"ndcg@{k}": metrics.ndcg(found.ranks[own], k)}
            values.update({figure: float(each.mean()) for figure, each in at.items()})
            drawn = bootstrap.means(np.stack(list(at.values()), axis=1), found.units[own], resamples)
            draws.update(dict(zip(at, drawn.T)))
        known = {figure: value for figure, value in values.items() if not np.isnan(value)}
        ends = bootstrap.intervals(draws, known)
        made.append(Slice(by=slicing.by, name=name, rows=len(own), figures=known, intervals=ends))
    return tuple(made)


def _span(events: np.ndarray) -> str:
    low, high = int(events.min()), int(events.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
