"""The films and people of the synthetic set: genres, popularity, which film follows which, who likes what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Tuple

import numpy as np
import pyarrow as pa

from pipeline.prepared import TITLE
from pipeline.seeds import derive
from pipeline.sources.movielens_schema import GENRES

FOLLOWERS = 4
"""Films that follow each film."""
OCCUPATIONS = (
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


@dataclass(frozen=True)
class Catalogue:
    """M films, by position."""

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
class People:
    """U users, by position."""

    age: np.ndarray
    gender: np.ndarray
    occupation: np.ndarray
    """[U] int64."""
    taste: np.ndarray
    """[U, G] float32 shares of the genres."""


def random_of(seed: int, *names: object) -> np.random.Generator:
    """The generator of one thing, whatever else is drawn."""
    return np.random.default_rng(derive(seed, "synthetic", *names))


def draw_catalogue(items: int, seed: int) -> Catalogue:
    """Films, and which follow which."""
    random = random_of(seed, "catalogue")
    genres = random.integers(0, len(GENRES), (items, 3))
    genres[:, 0] = random.permutation(items) % len(GENRES)  # every genre has films, as long as there are films
    second, third = random.random(items) < 0.5, random.random(items) < 0.2
    genres[:, 1] = np.where(second & (genres[:, 1] != genres[:, 0]), genres[:, 1], -1)
    distinct = (genres[:, 2] != genres[:, 0]) & (genres[:, 2] != genres[:, 1])
    genres[:, 2] = np.where(second & third & distinct, genres[:, 2], -1)
    weights = 1.0 / (random.permutation(items) + 10.0) ** 0.9
    order = np.lexsort((np.arange(items), genres[:, 0]))
    years = (1998 - random.exponential(8.0, items).clip(0, 76)).astype(int).astype(np.float32)
    return Catalogue(
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


def draw_people(users: int, seed: int) -> People:
    """Users, and what they like."""
    random = random_of(seed, "people")
    age = random.gamma(6.0, 5.5, users).clip(7, 73).astype(np.int64)
    gender = (random.random(users) < 0.3).astype(np.int64)
    occupation = random.integers(0, len(OCCUPATIONS), users)
    groups = random.normal(0.0, 1.0, (len(OCCUPATIONS) + 2 + 4, len(GENRES)))
    old = np.digitize(age, [20, 30, 45])
    leaning = 1.2 * groups[occupation] + 0.6 * groups[len(OCCUPATIONS) + gender] + 0.6 * groups[-4 + old]
    leaning += random.normal(0.0, 1.0, leaning.shape)
    weights = np.exp(leaning - leaning.max(axis=1, keepdims=True))
    taste = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return People(age, gender, occupation, taste)


def user_table(people: People) -> pa.Table:
    """As the source of events keeps it; ids from 1."""
    names: Dict[str, Tuple[str, ...]] = {"gender": ("M", "F"), "occupation": OCCUPATIONS}
    columns: Dict[str, pa.Array] = {
        "user_id": pa.array(np.arange(1, len(people.age) + 1)),
        "age": pa.array(people.age.astype(np.float32)),
    }
    for name, words in names.items():
        columns[name] = pa.array(words, pa.string()).take(pa.array(getattr(people, name)))
    return pa.table(columns)


def item_table(catalogue: Catalogue) -> pa.Table:
    """As the source of events keeps it; ids from 1."""
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
