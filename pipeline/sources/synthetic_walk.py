"""From film to film: what the users of the synthetic set see, all of a block at once."""

from __future__ import annotations

import numpy as np

from pipeline.sources.synthetic_world import FOLLOWERS, Catalogue

FOLLOWING = 0.35
TASTE = 0.45
"""Chances of an event of each kind; the rest is popularity alone."""
TRIES = 6
"""Draws of a film not seen before, until any that is left will do."""


def walk(random: np.random.Generator, lengths: np.ndarray, catalogue: Catalogue, taste: np.ndarray) -> np.ndarray:
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
    catalogue: Catalogue,
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
    random: np.random.Generator, last: np.ndarray, follows: bool, catalogue: Catalogue, taste: np.ndarray
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
