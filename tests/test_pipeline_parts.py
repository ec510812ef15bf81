"""Row groups and files: of the size they should have, in the order rows came, and at least one file."""

from __future__ import annotations

from pathlib import Path
from typing import List

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.preparation import parts

SCHEMA = pa.schema([("x", pa.int64()), ("times", pa.list_(pa.int64()))])


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "GROUP_ROWS", 10)
    monkeypatch.setattr(parts, "FILE_ROWS", 20)


def table(start: int, stop: int) -> pa.Table:
    rows = range(start, stop)
    return pa.table({"x": list(rows), "times": [[i, i + 1] for i in rows]}, schema=SCHEMA)


def groups(path: Path) -> List[int]:
    footer = pq.read_metadata(path)
    return [footer.row_group(i).num_rows for i in range(footer.num_row_groups)]


@pytest.mark.parametrize("many", [True, False])
def test_rows_come_in_whole_groups(tmp_path: Path, many: bool) -> None:
    with parts.writing(tmp_path / "train", SCHEMA, ["times"], many) as writer:
        for start, stop in ((0, 4), (4, 5), (5, 38), (38, 45)):
            writer.write(table(start, stop))
    assert writer.rows == 45
    files = sorted((tmp_path / "train").iterdir())
    assert [path.name for path in files] == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    assert [groups(path) for path in files] == [[10, 10], [10, 10], [5]]
    batches = list(parts.read(tmp_path / "train", ["times", "x"]))
    assert [batch.num_rows for batch in batches] == [10, 10, 10, 10, 5]
    assert pa.Table.from_batches(batches).select(["x", "times"]).equals(table(0, 45).combine_chunks())
    assert [path.name for path in tmp_path.iterdir()] == ["train"]


@pytest.mark.parametrize("many", [True, False])
def test_a_part_without_rows_can_be_read(tmp_path: Path, many: bool) -> None:
    with parts.writing(tmp_path / "test", SCHEMA, ["times"], many):
        pass
    assert pq.read_table(tmp_path / "test").schema.equals(SCHEMA)
    assert list(parts.read(tmp_path / "test", ["x"])) == []


def test_lists_of_times_are_not_dictionaries(tmp_path: Path) -> None:
    with parts.writing(tmp_path / "train", SCHEMA, ["times"], True) as writer:
        writer.write(table(0, 10))
    footer = pq.read_metadata(tmp_path / "train" / "part-00000.parquet").row_group(0)
    encodings = {footer.column(i).path_in_schema.split(".")[0]: footer.column(i).encodings for i in range(2)}
    assert "RLE_DICTIONARY" in encodings["x"] and "RLE_DICTIONARY" not in encodings["times"]
    assert footer.column(0).compression == "ZSTD"
