"""The made-up set: the same for the same seed, never twice the same film, and with the structure it promises."""

from __future__ import annotations

from typing import Dict

import numpy as np
import pyarrow as pa
import pytest

from pipeline.sources import movie_events, movielens_schema, synthetic
from pipeline.sources.synthetic import Size

SIZE = Size(users=400, items=300, events_per_user=40)


@pytest.fixture(scope="module")
def events() -> Dict[str, np.ndarray]:
    table = pa.Table.from_batches(list(synthetic.source(SIZE, 0).batches()))
    order = np.lexsort((np.arange(table.num_rows), table["timestamp"].to_numpy(), table["user_id"].to_numpy()))
    return {name: table[name].to_numpy()[order] for name in table.column_names}


def table(seed: int, size: Size = SIZE) -> pa.Table:
    return pa.Table.from_batches(list(synthetic.source(size, seed).batches()))


def test_the_seed_decides_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    first = table(0)
    assert first.equals(table(0)) and not first.equals(table(1))
    assert synthetic.source(SIZE, 0).digest == synthetic.source(SIZE, 0).digest != synthetic.source(SIZE, 1).digest
    monkeypatch.setattr(synthetic, "BATCH_ROWS", 100)
    assert first.equals(table(0))


def test_its_rows_are_those_of_movielens() -> None:
    source = synthetic.source(SIZE, 0)
    assert source.synthetic and source.columns == movie_events.COLUMNS
    mine, real = movielens_schema.schema("synthetic"), movielens_schema.schema("ml-100k")
    assert mine.model_copy(update={"name": "ml-100k"}) == real
    assert source.rows == sum(batch.num_rows for batch in source.batches())
    assert 0.9 < source.rows / (SIZE.users * SIZE.events_per_user) < 1.1
    assert source.users is not None and source.users.num_rows == SIZE.users
    assert source.items is not None and source.items.num_rows == SIZE.items


def test_blocks_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "BLOCK_USERS", 64)
    found = table(0)
    assert set(found["user_id"].to_pylist()) == set(range(1, SIZE.users + 1))


def test_nobody_sees_a_film_twice(events: Dict[str, np.ndarray]) -> None:
    pairs = np.stack([events["user_id"], events["item_id"]])
    assert np.unique(pairs, axis=1).shape[1] == len(events["user_id"])


def test_a_tiny_catalogue_is_walked_without_repeats() -> None:
    found = table(0, Size(users=50, items=20, events_per_user=10))
    assert len({(u, i) for u, i in zip(found["user_id"].to_pylist(), found["item_id"].to_pylist())}) == found.num_rows


def test_films_follow_films(events: Dict[str, np.ndarray]) -> None:
    same = events["user_id"][1:] == events["user_id"][:-1]
    pairs = events["item_id"][:-1][same] * 1_000 + events["item_id"][1:][same]
    _, counts = np.unique(pairs, return_counts=True)
    # 300 films have 4 followers each: 1,200 pairs of 90,000 hold a good part of FOLLOWING = 0.35 of the steps.
    assert np.sort(counts)[::-1][:1_200].sum() / counts.sum() > 0.3


def test_popularity_is_skewed(events: Dict[str, np.ndarray]) -> None:
    counts = np.sort(np.bincount(events["item_id"], minlength=SIZE.items + 1))[::-1]
    assert counts[:30].sum() > 0.2 * counts.sum()  # a tenth of the films has more than a fifth of the events


def test_users_have_tastes_that_their_occupation_tells(events: Dict[str, np.ndarray]) -> None:
    source = synthetic.source(SIZE, 0)
    assert source.users is not None and source.items is not None
    genre = np.array([movielens_schema.GENRES.index(g[0]) for g in source.items["genres"].to_pylist()])
    jobs = np.array(source.users["occupation"].to_pylist())
    seen = np.zeros((SIZE.users, len(movielens_schema.GENRES)))
    np.add.at(seen, (events["user_id"] - 1, genre[events["item_id"] - 1]), 1)
    shares = seen / seen.sum(axis=1, keepdims=True)
    of_jobs = np.stack([shares[jobs == job].mean(axis=0) for job in np.unique(jobs)])
    # Without tastes, shares of about 40 users would differ by chance alone: about 0.01 for a genre of 0.055.
    assert of_jobs.std(axis=0).mean() > 0.015
    assert shares.max(axis=1).mean() > 0.2  # a user's favourite genre, against 1/18 = 0.056


def test_ratings_are_of_both_kinds(events: Dict[str, np.ndarray]) -> None:
    assert set(events["rating"]) == {1, 2, 3, 4, 5}
    assert 0.4 < events["like"].mean() < 0.7
    assert events["hour"].min() >= 0 and events["hour"].max() <= 23 and set(events["weekday"]) == set(range(7))
