"""Shards: a user is in one of them, rows keep their order, and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional

import pyarrow as pa
import pytest

from pipeline import schema as schemas
from pipeline.preparation import spool
from pipeline.preparation.spool import POSITION
from pipeline.sources.source import Source
from signatures.errors import UsageError

SCHEMA = schemas.parse({"name": "t", "features": [{"name": "user", "kind": "categorical", "side": "user"}]}, "test")


def source(users: pa.Array, guess: Optional[int] = None, batch: int = 3) -> Source:
    """The users as the only column, in small batches; `guess` rows are announced."""
    table = pa.record_batch([users], names=["user"])
    pieces = [table.slice(start, batch) for start in range(0, len(users), batch)]
    rows = len(users) if guess is None else guess
    return Source("test", True, SCHEMA, "digest", rows, ("user",), lambda: iter(pieces))


def write(folder: Path, found: Source, by: Optional[str]) -> List[Dict[str, List[Any]]]:
    spooled = spool.write(found, folder / "spool", by, lambda _: None)
    assert spooled.rows == sum(len(spooled.read(shard)) for shard in spooled.shards)
    return [spooled.read(shard).to_pydict() for shard in spooled.shards]


@pytest.mark.parametrize("text", [False, True])
def test_each_user_is_in_one_shard_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bool) -> None:
    monkeypatch.setattr(spool, "SHARD_ROWS", 10)
    users = pa.array([i * 7 % 13 for i in range(100)], pa.int64())
    # Batches of 50: a sort that is not stable shows only on more than a handful.
    shards = write(tmp_path, source(users.cast(pa.string()) if text else users, batch=50), "user")
    assert len(shards) > 3
    owners = [set(shard["user"]) for shard in shards]
    assert sum(map(len, owners)) == 13
    assert sorted(position for shard in shards for position in shard[POSITION]) == list(range(100))
    assert all(shard[POSITION] == sorted(shard[POSITION]) for shard in shards)


def test_without_users_shards_follow_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "SHARD_ROWS", 10)
    shards = write(tmp_path, source(pa.array(range(25), pa.int64()), guess=1), None)
    assert [shard["user"][0] for shard in shards] == [0, 12, 21]
    assert [user for shard in shards for user in shard["user"]] == list(range(25))


def test_neighbouring_users_spread_over_the_shards() -> None:
    for step in (1, 2, 8, 1_000):
        shards = spool._shard_of(pa.array(range(0, 10_000 * step, step), pa.int64()), 8)
        counts = [int((shards == shard).sum()) for shard in range(8)]
        assert min(counts) > 1_000 and max(counts) < 1_500  # 1,250 each on average


def test_a_column_is_read_back_batch_by_batch(tmp_path: Path) -> None:
    spooled = spool.write(source(pa.array(range(7), pa.int64())), tmp_path / "spool", None, lambda _: None)
    assert [batch.tolist() for batch in spooled.batches("user")] == [[0, 1, 2], [3, 4, 5], [6]]


def test_progress_is_told(tmp_path: Path) -> None:
    told: List[int] = []
    spool.write(source(pa.array(range(7), pa.int64())), tmp_path / "spool", None, told.append)
    assert told == [3, 3, 1]


def test_no_row_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="data set 'test' has no row; give a table with at least one"):
        write(tmp_path, source(pa.array([], pa.int64())), "user")
