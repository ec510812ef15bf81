"""Made-up ratings with a structure to find: tastes by genre, films that follow films, popularity. Schema as ml-100k.

An event is, by chance, one of the few films that follow the user's last one (the sequence), a film of a genre that the
user likes (the taste, partly told by occupation, gender and age), or a popular one. No user rates a film twice.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import Dict, Iterator, List, Tuple

import numpy as np
import pyarrow as pa
import pydantic

from pipeline.prepared import TITLE
from pipeline.seeds import derive
from pipeline.sources import movie_events
from pipeline.sources.movielens_schema import GENRES, schema
from pipeline.sources.source import BATCH_ROWS, Source

VERSION = 1
"""Of the rows made from the same size and seed."""

BLOCK_USERS = 2_048
"""Users made at once."""
FOLLOWING = 0.35
TASTE = 0.45
"""Chances of an event of each kind; the rest is popularity alone."""
FOLLOWERS = 4
"""Films that follow each film."""
TRIES = 6

_START, _SPAN = 874_724_710, 150 * 86_400  # the first second of ml-100k; half a year for first visits
_OCCUPATIONS = (
    "artist",
    "doctor",
    "educator",
    "engineer",
    "executive",
    "lawyer",
    "other",
    "programmer",
    "student",
    "writer",
)


class Size(pydantic.BaseModel):
    """How much to make; about `events_per_user` each, never more than half of the items."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    users: int = pydantic.Field(default=1_000, ge=1)
    items: int = pydantic.Field(default=1_500, ge=20)
    events_per_user: int = pydantic.Field(default=100, ge=1)


def source(size: Size, seed: int) -> Source:
    """The synthetic set of this size; the same rows for the same seed, block by block."""
    text = f"synthetic {VERSION} {size.model_dump_json()} {seed}"
    catalogue = _catalogue(size, seed)
    people = _people(size, seed)
    return Source(
        dataset="synthetic",
        synthetic=True,
        schema=schema("synthetic"),
        digest=hashlib.sha256(text.encode()).hexdigest(),
        rows=sum(int(_events(size, seed, block).sum()) for block in _blocks(size)),
        columns=movie_events.COLUMNS,
        batches=functools.partial(_batches, size, seed, catalogue, people),
        users=_user_table(people),
        items=_item_table(catalogue),
    )


@dataclass(frozen=True)
class _Catalogue:
    genres: np.ndarray
    """[M, 3] int64: the first is the film's main genre; -1 where it has fewer."""
    popular: np.ndarray
    """[M] cumulative weights."""
    by_genre: np.ndarray
    """[M] films, those of a main genre together."""
    within_genre: np.ndarray
    """[M] for these, genre + cumulative share of the genre's popularity: increasing throughout."""
    followers: np.ndarray
    """[M, FOLLOWERS] films."""
    quality: np.ndarray
    """[M] float64."""
    years: np.ndarray
    """[M] float32; NaN for a few."""


@dataclass(frozen=True)
class _People:
    age: np.ndarray
    gender: np.ndarray
    occupation: np.ndarray
    """[U] int64."""
    taste: np.ndarray
    """[U, G] float32 shares of the genres."""


def _random(seed: int, *names: object) -> np.random.Generator:
    return np.random.default_rng(derive(seed, "synthetic", *names))


def _catalogue(size: Size, seed: int) -> _Catalogue:
    random, items = _random(seed, "catalogue"), size.items
    genres = random.integers(0, len(GENRES), (items, 3))
    genres[:, 0] = random.permutation(items) % len(GENRES)  # every genre has films, as long as there are films
    second, third = random.random(items) < 0.5, random.random(items) < 0.2
    genres[:, 1] = np.where(second & (genres[:, 1] != genres[:, 0]), genres[:, 1], -1)
    distinct = (genres[:, 2] != genres[:, 0]) & (genres[:, 2] != genres[:, 1])
    genres[:, 2] = np.where(second & third & distinct, genres[:, 2], -1)
    weights = 1.0 / (random.permutation(items) + 10.0) ** 0.9
    order = np.lexsort((np.arange(items), genres[:, 0]))
    years = (1998 - random.exponential(8.0, items).clip(0, 76)).astype(int).astype(np.float32)
    return _Catalogue(
        genres=genres,
        popular=np.cumsum(weights) / weights.sum(),
        by_genre=order,
        within_genre=_within(genres[order, 0], weights[order]),
        followers=_followers(random, genres[:, 0], order),
        quality=random.normal(0.0, 0.4, items),
        years=np.where(random.random(items) < 0.01, np.float32("nan"), years),
    )


def _within(genre: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """genre [M] sorted, weights [M]: genre + the cumulative share of each film in its genre, in (genre, genre + 1]."""
    total = np.bincount(genre, weights)
    before = np.concatenate([[0.0], np.cumsum(total)])
    return genre + np.minimum((np.cumsum(weights) - before[genre]) / total[genre], 1.0)


def _followers(random: np.random.Generator, genre: np.ndarray, order: np.ndarray) -> np.ndarray:
    """For each film some of its main genre, by chance: which ones is for the sequence models to learn."""
    starts = np.searchsorted(genre[order], genre, side="left")
    ends = np.searchsorted(genre[order], genre, side="right")
    drawn = starts[:, None] + (random.random((len(genre), FOLLOWERS)) * (ends - starts)[:, None]).astype(np.int64)
    return np.asarray(order[drawn])


def _people(size: Size, seed: int) -> _People:
    random, users = _random(seed, "people"), size.users
    age = random.gamma(6.0, 5.5, users).clip(7, 73).astype(np.int64)
    gender = (random.random(users) < 0.3).astype(np.int64)
    occupation = random.integers(0, len(_OCCUPATIONS), users)
    groups = random.normal(0.0, 1.0, (len(_OCCUPATIONS) + 2 + 4, len(GENRES)))
    old = np.digitize(age, [20, 30, 45])
    leaning = 1.2 * groups[occupation] + 0.6 * groups[len(_OCCUPATIONS) + gender] + 0.6 * groups[-4 + old]
    leaning += random.normal(0.0, 1.0, leaning.shape)
    weights = np.exp(leaning - leaning.max(axis=1, keepdims=True))
    taste = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return _People(age, gender, occupation, taste)


def _blocks(size: Size) -> range:
    return range(-(-size.users // BLOCK_USERS))


def _events(size: Size, seed: int, block: int) -> np.ndarray:
    """Events of each user of a block, most first, [U] int64."""
    users = min(BLOCK_USERS, size.users - block * BLOCK_USERS)
    spread = _random(seed, "events", block).lognormal(-0.245, 0.7, users)  # mean 1
    most = min(5 * size.events_per_user, size.items // 2)
    return -np.sort(-np.clip(np.round(size.events_per_user * spread), 1, most).astype(np.int64))


def _batches(size: Size, seed: int, catalogue: _Catalogue, people: _People) -> Iterator[pa.RecordBatch]:
    for block in _blocks(size):
        events = _block(size, seed, block, catalogue, people)
        for start in range(0, events.num_rows, BATCH_ROWS):
            yield events.slice(start, BATCH_ROWS)


def _block(size: Size, seed: int, block: int, catalogue: _Catalogue, people: _People) -> pa.RecordBatch:
    random = _random(seed, "block", block)
    lengths = _events(size, seed, block)
    # Whoever is most active should not have the lowest id.
    users = block * BLOCK_USERS + random.permutation(len(lengths))
    items = _walk(random, lengths, catalogue, np.cumsum(people.taste[users], axis=1, dtype=np.float64))
    row, step = np.nonzero(np.arange(items.shape[1]) < lengths[:, np.newaxis])
    chosen, who = items[row, step], users[row]
    times = _times(random, lengths, items.shape[1])[row, step]
    ratings = _ratings(random, chosen, who, row, len(lengths), catalogue, people)
    return movie_events.record_batch(who + 1, chosen + 1, ratings, times)


def _walk(random: np.random.Generator, lengths: np.ndarray, catalogue: _Catalogue, taste: np.ndarray) -> np.ndarray:
    """lengths [U] descending, taste [U, G] cumulative. Films [U, T]; those beyond a user's length mean nothing."""
    users, steps = len(lengths), int(lengths[0])
    films = np.zeros((users, steps), np.int64)
    seen = np.zeros((users, len(catalogue.popular)), bool)
    last = np.zeros(users, np.int64)
    for step in range(steps):
        active = int(np.searchsorted(-lengths, -step, side="left"))  # those with more than `step` events
        rows = np.arange(active)
        last[:active] = _draw_unseen(random, rows, last, step > 0, seen, catalogue, taste)
        seen[rows, last[:active]] = True
        films[:active, step] = last[:active]
    return films


def _draw_unseen(
    random: np.random.Generator,
    rows: np.ndarray,
    last: np.ndarray,
    follows: bool,
    seen: np.ndarray,
    catalogue: _Catalogue,
    taste: np.ndarray,
) -> np.ndarray:
    found = np.zeros(len(rows), np.int64)
    for _ in range(TRIES):
        found[rows] = _draw(random, last[rows], follows, catalogue, taste[rows])
        rows = rows[seen[rows, found[rows]]]
        if not len(rows):
            return found
    for row in rows:  # few: any film that is left
        found[row] = random.choice(np.flatnonzero(~seen[row]))
    return found


def _draw(
    random: np.random.Generator, last: np.ndarray, follows: bool, catalogue: _Catalogue, taste: np.ndarray
) -> np.ndarray:
    """A film for each of these users [u], by one of the three ways."""
    count = len(last)
    way = random.random(count)
    genre = (taste < random.random(count)[:, np.newaxis] * taste[:, -1:]).sum(axis=1)
    liked = catalogue.by_genre[_place(catalogue.within_genre, genre + random.random(count))]
    popular = _place(catalogue.popular, random.random(count))
    following = catalogue.followers[last, random.integers(0, FOLLOWERS, count)]
    found = np.where(way < FOLLOWING + TASTE, liked, popular)
    return np.where((way < FOLLOWING) & follows, following, found)


def _place(increasing: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.minimum(np.searchsorted(increasing, values, side="right"), len(increasing) - 1)


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
    catalogue: _Catalogue,
    people: _People,
) -> np.ndarray:
    """1 to 5 for each event [n]: the film's quality, the user's taste for its genre, the user's mildness, chance."""
    mildness = random.normal(0.0, 0.4, rows)[row]
    taste = people.taste[users, catalogue.genres[films, 0]] / people.taste[users].mean(axis=1)
    score = 3.1 + catalogue.quality[films] + 0.5 * np.log1p(taste) + mildness + random.normal(0.0, 0.6, len(films))
    return np.clip(np.round(score), 1, 5).astype(np.int64)


def _user_table(people: _People) -> pa.Table:
    names: Dict[str, Tuple[str, ...]] = {"gender": ("M", "F"), "occupation": _OCCUPATIONS}
    columns: Dict[str, pa.Array] = {
        "user_id": pa.array(np.arange(1, len(people.age) + 1)),
        "age": pa.array(people.age.astype(np.float32)),
    }
    for name, words in names.items():
        columns[name] = pa.array(words, pa.string()).take(pa.array(getattr(people, name)))
    return pa.table(columns)


def _item_table(catalogue: _Catalogue) -> pa.Table:
    genres: List[List[str]] = [[GENRES[g] for g in film if g >= 0] for film in catalogue.genres.tolist()]
    years = catalogue.years.tolist()
    titles = [f"Film {i} ({year:.0f})" if year == year else f"Film {i}" for i, year in enumerate(years, 1)]
    columns: Dict[str, pa.Array] = {
        "item_id": pa.array(np.arange(1, len(years) + 1)),
        TITLE: pa.array(titles, pa.string()),
        "genres": pa.array(genres, pa.list_(pa.string())),
        "release_year": pa.array(catalogue.years, pa.float32()),
    }
    return pa.table(columns)
