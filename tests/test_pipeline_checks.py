"""Leaks of the future, planted one by one: each is seen, and nothing is published."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from pipeline.preparation import checks, entities, histories, prepare, splits
from pipeline.preparation.histories import Cells, Events
from pipeline.preparation.layout import Layout
from pipeline.preparation.learning import Learned, learn
from pipeline.preparation.options import Options
from pipeline.sources.synthetic import Size
from signatures.errors import UsageError

QUIET = Console(quiet=True)
SMALL = Options(size=Size(users=40, items=60, events_per_user=12))


@pytest.fixture
def refused(tmp_path: Path) -> Callable[[str], None]:
    """Prepares, expects a refusal that says this, and that nothing at all was left behind."""

    def check(message: str) -> None:
        with pytest.raises(UsageError, match=f"prepared data refused: .*{message}"):
            prepare.prepare("synthetic", tmp_path / "out", SMALL, QUIET)
        assert list(tmp_path.iterdir()) == []

    return check


def shifted(by: int) -> Callable[[Events, np.ndarray, int], Cells]:
    """Histories that end that many events too late."""

    def leaky(events: Events, rows: np.ndarray, maximum: int) -> Cells:
        _, end = events.spans
        lists: List[List[int]] = []
        for row in rows.tolist():
            stop = min(row + by, int(end[row]))
            lists.append(list(range(max(int(events.spans[0][row]), stop - maximum), stop)))
        offsets = np.concatenate([[0], np.cumsum([len(cells) for cells in lists])]).astype(np.int32)
        return Cells(np.array([cell for cells in lists for cell in cells], np.int64), offsets)

    return leaky


def test_the_slow_histories_are_accepted_when_they_do_not_leak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histories, "before", shifted(0))
    prepare.prepare("synthetic", tmp_path / "out", SMALL, QUIET)


def test_a_history_with_the_event_itself(refused: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histories, "before", shifted(1))
    refused("'history' shows the row's own event")


def test_a_history_with_the_next_event(refused: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histories, "before", shifted(2))
    refused("'history' shows an event later than the row")


def test_a_history_newest_first(refused: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    def backwards(events: Events, rows: np.ndarray, maximum: int) -> Cells:
        found = shifted(0)(events, rows, maximum)
        pieces = [found.index[a:b][::-1] for a, b in zip(found.offsets, found.offsets[1:])]
        return Cells(np.concatenate(pieces), found.offsets)

    monkeypatch.setattr(histories, "before", backwards)
    refused("'history' is not oldest first")


def everything(folder: Path) -> Path:
    """A folder with the rows of all three parts, beside `folder`."""
    together = folder.parent / "together"
    together.mkdir(exist_ok=True)
    for part in splits.PARTS:
        shutil.copy(folder.parent / part / "part-00000.parquet", together / f"{part}.parquet")
    return together


def test_a_vocabulary_of_all_parts(refused: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    def leaky(folder: Path, layout: Layout, seed: int) -> Learned:
        return learn(everything(folder), layout, seed)

    monkeypatch.setattr(prepare, "learn", leaky)
    refused("vocabulary '.*' is not that of the training part")


def test_statistics_of_all_parts(refused: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    def leaky(folder: Path, layout: Layout, seed: int) -> Learned:
        return Learned(learn(folder, layout, seed).vocabularies, learn(everything(folder), layout, seed).statistics)

    monkeypatch.setattr(prepare, "learn", leaky)
    refused("the statistics of '.*' are not those of the training part")


def test_item_counts_of_all_parts(refused: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    honest = entities.counts

    def leaky(work: Path, layout: Layout, source: Any) -> pa.Table:
        table = entities_items(work, layout, source)
        counted = honest(everything(work / "train"), layout, table["item_id"])
        return table.set_column(table.column_names.index("train_count"), "train_count", counted)

    entities_items = entities.items
    monkeypatch.setattr(entities, "items", leaky)
    refused("train_count of the items is not that of the training part")


def test_a_split_by_time_that_mixes_the_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "by_time", lambda times, _: splits.at_random(np.arange(len(times)), 0, (0.1, 0.1)))
    by_time = SMALL.model_copy(update={"split": "time"})
    with pytest.raises(UsageError, match="train goes up to time [0-9]+ and validation begins at [0-9]+"):
        prepare.prepare("synthetic", tmp_path / "out", by_time, QUIET)
    assert list(tmp_path.iterdir()) == []


def test_rows_that_were_lost(refused: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    def counted_wrongly(*arguments: Any) -> Dict[str, int]:
        found = write_rows(*arguments)
        return {**found, "test": found["test"] + 1}

    write_rows = prepare._write_rows
    monkeypatch.setattr(prepare, "_write_rows", counted_wrongly)
    refused("test has [0-9]+ rows and facts.json says [0-9]+")


def test_what_was_published_before_survives_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = prepare.prepare("synthetic", tmp_path / "out", SMALL, QUIET)
    monkeypatch.setattr(histories, "before", shifted(1))
    with pytest.raises(UsageError, match="refused"):
        prepare.prepare("synthetic", tmp_path / "out", SMALL.model_copy(update={"maximum_history": 7}), QUIET)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert before.facts.fingerprint in (tmp_path / "out" / "facts.json").read_text()


def lists(rows: List[List[int]]) -> pa.ListArray:
    return pa.array(rows, pa.list_(pa.int64()))


@pytest.mark.parametrize(
    ("cells", "times", "why"),
    [
        ([[], [1, 2]], [[], [10, 20]], ""),
        ([[], [1, 2]], [[], [20, 20]], ""),  # the same second as the row, but other items
        ([[], [1, 9]], [[], [10, 20]], "shows the row's own event"),
        ([[], [9, 2]], [[], [10, 20]], ""),  # the same item, earlier
        ([[], [1, 2]], [[], [10, 21]], "shows an event later than the row"),
        ([[1], [2, 3]], [[9], [8, 7]], "is not oldest first"),
        ([[1], [2, 3]], [[9], [7, 8]], ""),  # a later row may go further back
    ],
)
def test_what_is_of_the_past(cells: List[List[int]], times: List[List[int]], why: str) -> None:
    found, reason = checks.histories_are_past(
        lists(cells), lists(times), pa.array([8, 9], pa.int64()), np.array([10, 20])
    )
    assert reason == why
    assert found.tolist() == [False, bool(why)]


def test_items_may_be_text() -> None:
    cells = pa.array([["a", "b"]], pa.list_(pa.string()))
    _, why = checks.histories_are_past(cells, lists([[1, 2]]), pa.array(["b"]), np.array([2]))
    assert why == "shows the row's own event"
