"""MovieLens in its official layouts: small files written here, and the real ones where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

import pytest

from pipeline.sources import movie_events, movielens
from pipeline.sources.source import Source
from signatures.errors import UsageError

FLAGS = "|".join("1" if i in (1, 8) else "0" for i in range(19))  # Action and Drama; the first flag is "unknown"
ITEM = f"1|Caf\xe9 (1995)|01-Jan-1995||http://example.org|{FLAGS}\n2|unknown||||1{'|0' * 18}\n"


def write(folder: Path, files: Dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_bytes(text.encode("latin-1"))
    return folder


@pytest.fixture
def ml_100k(tmp_path: Path) -> Path:
    ratings = "1\t2\t4\t893286638\n2\t1\t3\t0\n"
    return write(tmp_path, {"u.data": ratings, "u.user": "1|24|M|writer|85711\n2|53|F|other|94043\n", "u.item": ITEM})


@pytest.fixture
def ml_1m(tmp_path: Path) -> Path:
    return write(
        tmp_path,
        {
            "ratings.dat": "1::10::5::978300760\n",
            "users.dat": "1::F::1::10::48067\n",
            "movies.dat": "10::Caf\xe9, The (1999)::Animation|Children's\n",
        },
    )


def rows(source: Source) -> List[Dict[str, Any]]:
    return [row for batch in source.batches() for row in batch.to_pylist()]


def test_ml_100k(ml_100k: Path) -> None:
    source = movielens.read("ml-100k", ml_100k)
    # 893286638 s are 10338 days and 83438 s: 23.2 hours into Wednesday 1998-04-22 UTC, the last event of ml-100k.
    assert rows(source) == [
        {"user_id": 1, "item_id": 2, "rating": 4, "timestamp": 893286638, "hour": 23, "weekday": 2, "like": 1.0},
        {"user_id": 2, "item_id": 1, "rating": 3, "timestamp": 0, "hour": 0, "weekday": 3, "like": 0.0},
    ]
    assert source.users is not None and source.items is not None
    assert source.users.to_pylist()[0] == {"user_id": 1, "age": 24.0, "gender": "M", "occupation": "writer"}
    films = source.items.to_pylist()
    assert films[0] == {"item_id": 1, "title": "Caf\xe9 (1995)", "genres": ["Action", "Drama"], "release_year": 1995.0}
    assert films[1]["genres"] == [] and films[1]["release_year"] != films[1]["release_year"]
    assert source.rows == 2 and not source.synthetic


def test_ml_1m(ml_1m: Path) -> None:
    source = movielens.read("ml-1m", ml_1m)
    assert [(row["user_id"], row["item_id"], row["rating"]) for row in rows(source)] == [(1, 10, 5)]
    assert source.users is not None and source.items is not None
    assert source.users.to_pylist() == [{"user_id": 1, "age": 1.0, "gender": "F", "occupation": "K-12 student"}]
    assert source.items.to_pylist() == [
        {"item_id": 10, "title": "Caf\xe9, The (1999)", "genres": ["Animation", "Children's"], "release_year": 1999.0}
    ]


@pytest.mark.parametrize("line", ["1\t2\t4", "1\t2\t4\t5\t6", "1\t2\tfour\t5", "1\t\t4\t5"])
def test_a_bad_rating_is_named(ml_100k: Path, line: str) -> None:
    (ml_100k / "u.data").write_text(f"1\t2\t4\t893286638\n{line}\n")
    with pytest.raises(UsageError, match="u.data line 2 is .*; it must be user, item, rating and Unix seconds"):
        rows(movielens.read("ml-100k", ml_100k))


@pytest.mark.parametrize("name", ["u.data", "u.user", "u.item"])
def test_an_empty_or_missing_file_is_named(ml_100k: Path, name: str) -> None:
    (ml_100k / name).write_text("")
    with pytest.raises(UsageError, match=f"{name} is empty"):
        movielens.read("ml-100k", ml_100k)
    (ml_100k / name).unlink()
    with pytest.raises(UsageError, match=f"{name} is missing; put the unpacked official archive there"):
        movielens.read("ml-100k", ml_100k)


def test_a_bad_user_is_named(ml_100k: Path) -> None:
    (ml_100k / "u.user").write_text("1|24|M|writer|85711\n2|old|F|other|94043\n")
    with pytest.raises(UsageError, match="u.user line 2: age is 'old'; it must be a whole number"):
        movielens.read("ml-100k", ml_100k)
    (ml_100k / "u.user").write_text("1|24|M|writer|85711\n2|53\n")
    with pytest.raises(UsageError, match="u.user line 2 has 2 values instead of 5"):
        movielens.read("ml-100k", ml_100k)


def test_other_content_is_another_digest(ml_100k: Path) -> None:
    before = movielens.read("ml-100k", ml_100k).digest
    (ml_100k / "u.user").write_text("1|24|M|writer|85711\n2|54|F|other|94043\n")
    assert movielens.read("ml-100k", ml_100k).digest != before


@pytest.mark.data
def test_the_real_ml_100k(data_dir: Path) -> None:
    source = movielens.read("ml-100k", data_dir / "ml-100k")
    batches = list(source.batches())
    assert sum(batch.num_rows for batch in batches) == source.rows == 100_000
    assert tuple(batches[0].schema.names) == movie_events.COLUMNS
    assert batches[0].to_pylist()[0]["user_id"] == 196 and batches[0].to_pylist()[0]["item_id"] == 242


@pytest.mark.data
def test_the_real_ml_1m_in_part(data_dir: Path) -> None:
    source = movielens.read("ml-1m", data_dir / "ml-1m-partial")
    found = rows(source)
    assert len(found) == 4_719 and (found[0]["item_id"], found[0]["timestamp"]) == (1193, 978300760)
    assert source.users is not None and source.users.num_rows == 6_040
    assert source.items is not None and source.items.num_rows == 3_883
    assert all(year == year for year in source.items["release_year"].to_pylist())
