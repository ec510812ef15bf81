"""MovieLens ratings as labelled rows, split at random and by time: small files written here, and the real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Tuple

import numpy as np
import pytest
from rich.console import Console

from pipeline import rows as row_files
from pipeline.preparation.options import Options
from pipeline.preparation.prepare import prepare_source
from pipeline.prepared import EVENT_TIME, Prepared
from pipeline.sources import locate, movielens_labels
from pipeline.sources.synthetic import Size
from signatures.errors import UsageError

PARTS: Tuple[Any, ...] = ("train", "validation", "test")
LAST = 200
"""Ratings, one a second; a rating says its place: user, film and value all follow from it."""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "own" / "ml-100k"
    folder.mkdir(parents=True)
    order = np.random.default_rng(0).permutation(LAST)  # the official file is in no order either
    lines = [f"{1 + i // 20}\t{1 + i % 20}\t{1 + i % 5}\t{1000 + i}\n" for i in order]
    (folder / "u.data").write_text("".join(lines))
    (folder / "u.user").write_text("".join(f"{user}|24|M|writer|85711\n" for user in range(1, 11)))
    flags = "|".join("1" if i == 1 else "0" for i in range(19))
    (folder / "u.item").write_text("".join(f"{film}|Film (1995)|01-Jan-1995|||{flags}\n" for film in range(1, 21)))
    return folder


def prepare(files: Path, folder: Path, **options: Any) -> Prepared:
    return prepare_source(movielens_labels.read(files), folder, Options(**options), Console(quiet=True))


def read(prepared: Prepared) -> Dict[str, row_files.Rows]:
    others = ("like", "loved", EVENT_TIME)
    return {part: row_files.read(prepared, part, prepared.schema.columns(), others) for part in PARTS}


def test_every_rating_is_a_labelled_row_of_one_part(files: Path, tmp_path: Path) -> None:
    for split in ("time", "random"):
        prepared = prepare(files, tmp_path / split, split=split)
        assert not prepared.facts.positives_only and prepared.facts.dataset == "ml-100k-labels"
        places = np.concatenate([rows[EVENT_TIME] for rows in read(prepared).values()]) - 1000
        assert sorted(places.tolist()) == list(range(LAST))
        for rows in read(prepared).values():
            rating = 1 + (rows[EVENT_TIME] - 1000) % 5
            assert np.array_equal(rows["like"], rating >= 4) and np.array_equal(rows["loved"], rating == 5)
            assert np.array_equal(rows["user_id"], 1 + (rows[EVENT_TIME] - 1000) // 20)
            assert set(rows["genres"][:, 0]) == {"Action"}


def test_by_time_the_later_rows_are_held_out(files: Path, tmp_path: Path) -> None:
    found = read(prepare(files, tmp_path / "data"))
    assert {part: (rows[EVENT_TIME].min(), rows[EVENT_TIME].max()) for part, rows in found.items()} == {
        "train": (1000, 1159), "validation": (1160, 1179), "test": (1180, 1199),
    }  # fmt: skip


def test_at_random_is_seeded_and_in_no_order(files: Path, tmp_path: Path) -> None:
    first, again, other = (
        read(prepare(files, tmp_path / name, split="random", seed=seed))
        for name, seed in (("first", 0), ("again", 0), ("other", 1))
    )
    for part in PARTS:
        assert np.array_equal(first[part][EVENT_TIME], again[part][EVENT_TIME])
    assert set(first["test"][EVENT_TIME].tolist()) != set(other["test"][EVENT_TIME].tolist())
    assert first["train"][EVENT_TIME].max() > first["test"][EVENT_TIME].min()
    assert 5 < len(first["test"][EVENT_TIME]) < 40


def test_what_it_asks_and_what_it_knows() -> None:
    schema = movielens_labels.schema()
    assert schema.feature_names == ("user_id", "item_id", "genres")
    assert [(task.name, task.mask) for task in schema.tasks] == [("like", None), ("loved", None)]
    assert schema.roles.item is None  # so that evaluation predicts and does not rank


def test_a_rated_film_that_is_not_described_is_named(files: Path, tmp_path: Path) -> None:
    with (files / "u.data").open("a") as file:
        file.write("1\t99\t3\t5000\n")
    with pytest.raises(UsageError, match="ml-100k: film 99 is rated but not in u.item; fetch the data set again"):
        prepare(files, tmp_path / "data")


def test_it_is_found_by_its_name(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNET_DATA_DIR", str(files.parent))
    source = locate.find("ml-100k-labels", Size(), 0, Console(quiet=True))
    assert (source.dataset, source.schema.name, source.rows) == ("ml-100k-labels", "ml-100k-labels", LAST)


@pytest.mark.data
def test_the_real_ratings(data_dir: Path, tmp_path: Path) -> None:
    for split in ("time", "random"):
        rows = prepare(data_dir / "ml-100k", tmp_path / split, split=split).facts.rows
        assert sum(rows.values()) == 100_000
        assert all(abs(rows[part] - 10_000) < 300 for part in ("validation", "test"))  # three deviations at random: 285
