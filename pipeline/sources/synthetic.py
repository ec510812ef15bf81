"""Made-up ratings with a structure to find: tastes by genre, films that follow films, popularity. Schema as ml-100k.

An event is, by chance, one of the few films that follow the user's last one (the sequence), a film of a genre that the
user likes (the taste, partly told by occupation, gender and age), or a popular one. No user rates a film twice.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Iterator

import numpy as np
import pyarrow as pa
import pydantic

from pipeline.sources import movie_events
from pipeline.sources.movielens_schema import schema
from pipeline.sources.source import BATCH_ROWS, Source
from pipeline.sources.synthetic_walk import walk
from pipeline.sources.synthetic_world import (
    Catalogue,
    People,
    draw_catalogue,
    draw_people,
    item_table,
    random_of,
    user_table,
)

VERSION = 1
"""Of the rows made from the same size and seed."""

BLOCK_USERS = 2_048
"""Users made at once."""

_START, _SPAN = 874_724_710, 150 * 86_400  # the first second of ml-100k; half a year for first visits


class Size(pydantic.BaseModel):
    """How much to make; about `events_per_user` each, never more than half of the items."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    users: int = pydantic.Field(default=1_000, ge=1)
    items: int = pydantic.Field(default=1_500, ge=20)
    events_per_user: int = pydantic.Field(default=100, ge=1)


def source(size: Size, seed: int) -> Source:
    """The synthetic set of this size; the same rows for the same seed, block by block."""
    text = f"synthetic {VERSION} {size.model_dump_json()} {seed}"
    catalogue = draw_catalogue(size.items, seed)
    people = draw_people(size.users, seed)
    return Source(
        dataset="synthetic",
        synthetic=True,
        schema=schema("synthetic"),
        digest=hashlib.sha256(text.encode()).hexdigest(),
        rows=sum(int(_events(size, seed, block).sum()) for block in _blocks(size)),
        columns=movie_events.COLUMNS,
        batches=functools.partial(_batches, size, seed, catalogue, people),
        users=user_table(people),
        items=item_table(catalogue),
    )


def _blocks(size: Size) -> range:
    return range(-(-size.users // BLOCK_USERS))


def _events(size: Size, seed: int, block: int) -> np.ndarray:
    """Events of each user of a block, most first, [U] int64."""
    users = min(BLOCK_USERS, size.users - block * BLOCK_USERS)
    spread = random_of(seed, "events", block).lognormal(-0.245, 0.7, users)  # mean 1
    most = min(5 * size.events_per_user, size.items // 2)
    return -np.sort(-np.clip(np.round(size.events_per_user * spread), 1, most).astype(np.int64))


def _batches(size: Size, seed: int, catalogue: Catalogue, people: People) -> Iterator[pa.RecordBatch]:
    for block in _blocks(size):
        events = _block(size, seed, block, catalogue, people)
        for start in range(0, events.num_rows, BATCH_ROWS):
            yield events.slice(start, BATCH_ROWS)


def _block(size: Size, seed: int, block: int, catalogue: Catalogue, people: People) -> pa.RecordBatch:
    random = random_of(seed, "block", block)
    lengths = _events(size, seed, block)
    # Whoever is most active should not have the lowest id.
    users = block * BLOCK_USERS + random.permutation(len(lengths))
    items = walk(random, lengths, catalogue, np.cumsum(people.taste[users], axis=1, dtype=np.float64))
    row, step = np.nonzero(np.arange(items.shape[1]) < lengths[:, np.newaxis])
    chosen, who = items[row, step], users[row]
    times = _times(random, lengths, items.shape[1])[row, step]
    ratings = _ratings(random, chosen, who, row, len(lengths), catalogue, people)
    return movie_events.record_batch(who + 1, chosen + 1, ratings, times)


def _times(random: np.random.Generator, lengths: np.ndarray, steps: int) -> np.ndarray:
    """Unix seconds [U, T]: visits of many films within minutes, days apart."""
    shape = (len(lengths), steps)
    gaps = random.exponential(60.0, shape) + np.where(random.random(shape) < 0.04, random.exponential(6e5, shape), 0.0)
    gaps[:, 0] = random.random(len(lengths)) * _SPAN
    return _START + np.cumsum(gaps.astype(np.int64), axis=1)


def _ratings(
    random: np.random.Generator,
    films: np.ndarray,
    users: np.ndarray,
    row: np.ndarray,
    rows: int,
    catalogue: Catalogue,
    people: People,
) -> np.ndarray:
    """1 to 5 for each event [n]: the film's quality, the user's taste for its genre, the user's mildness, chance."""
    mildness = random.normal(0.0, 0.4, rows)[row]
    taste = people.taste[users, catalogue.genres[films, 0]] / people.taste[users].mean(axis=1)
    score = 3.1 + catalogue.quality[films] + 0.5 * np.log1p(taste) + mildness + random.normal(0.0, 0.6, len(films))
    return np.clip(np.round(score), 1, 5).astype(np.int64)
