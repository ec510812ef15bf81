"""Item-to-item co-occurrence: counted by hand, of the training part alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np
import pytest

from pipeline.baselines import co_occurrence
from pipeline.prepared import Prepared
from signatures.errors import UsageError
from tests import prepared_folder

HISTORY = {"name": "past", "kind": "sequence", "side": "user", "shares": "item_id", "maximum_length": 9}
SCHEMA: Dict[str, Any] = {
    "name": "events",
    "features": [
        {"name": "user_id", "kind": "categorical", "side": "user"},
        HISTORY,
        {"name": "item_id", "kind": "categorical", "side": "item"},
    ],
    "labels": [{"name": "click"}],
    "tasks": [{"name": "click", "label": "click"}],
    "roles": {"user": "user_id", "item": "item_id", "time": "seconds"},
}
# User 1 met 10, 11, 12 in this order, user 2 met 10 and then 11; the file has them in another one.
TRAIN = {"user_id": [1, 2, 1, 2, 1], "item_id": [12, 10, 10, 11, 11], "event_time": [30, 5, 10, 6, 20]}


def folder(
    path: Path,
    train: Optional[Dict[str, List[Any]]] = None,
    others: Optional[Dict[str, List[Any]]] = None,
    schema: Optional[Dict[str, Any]] = None,
    positives_only: bool = True,
) -> Prepared:
    rows: Dict[str, List[Any]] = {**TRAIN, **(train or {})}
    rows = {**rows, "past": [[]] * len(rows["user_id"]), "click": rows.get("click", [1.0] * len(rows["user_id"]))}
    held_out: Dict[str, List[Any]] = {"user_id": [1], "item_id": [13], "event_time": [40], "past": [[10]]}
    held_out = {**held_out, "click": [1.0], **(others or {})}
    items = {"item_id": [10, 11, 12, 13], "train_count": [2, 2, 1, 0]}
    parts = {"train": rows, "validation": held_out, "test": held_out}
    return prepared_folder.write(path, schema or SCHEMA, parts, items, positives_only=positives_only)


def asked(*pasts: List[int]) -> Dict[str, np.ndarray]:
    longest = max(len(past) for past in pasts)
    cells = np.zeros((len(pasts), longest), np.int64)
    for row, past in enumerate(pasts):
        cells[row, : len(past)] = past
    return {"past": cells, "past_length": np.array([len(past) for past in pasts])}


ALL = np.array([[0, 1, 2, 3]])


def test_scores_by_hand(tmp_path: Path) -> None:
    found = co_occurrence.fit(folder(tmp_path / "data"))
    # c(10, 11) = 2, c(10, 12) = c(11, 12) = 1; n = 2, 2, 1, 0: s(10, 11) = 2 / 2, s(10, 12) = s(11, 12) = 1 / sqrt(2).
    half = 0.5**0.5
    np.testing.assert_allclose(found.score(asked([10]), ALL), [[0, 1, half, 0]], rtol=1e-6)
    np.testing.assert_allclose(found.score(asked([10, 11]), ALL), [[1, 1, 2 * half, 0]], rtol=1e-6)
    # Candidates in any order, some twice; an unknown item and no history say nothing.
    positions = np.array([[2, 1, 1], [2, 1, 0], [0, 1, 2]])
    scores = found.score(asked([10], [99, 12], []), positions)
    np.testing.assert_allclose(scores, [[half, 1, 1], [0, half, half], [0, 0, 0]], rtol=1e-6)
    assert scores.dtype == np.float32


def test_pairs_beyond_the_window_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(co_occurrence, "WINDOW", 1)
    found = co_occurrence.fit(folder(tmp_path / "data"))
    # 10 and 12 are two events apart for user 1; the last event of user 1 is no neighbour of the first of user 2.
    np.testing.assert_allclose(found.score(asked([10]), ALL), [[0, 1, 0, 0]])


def test_the_newest_cells_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(co_occurrence, "RECENT", 2)
    found = co_occurrence.fit(folder(tmp_path / "data"))
    np.testing.assert_allclose(found.score(asked([11, 13, 10]), ALL), found.score(asked([10]), ALL))


def test_only_training_rows_count(tmp_path: Path) -> None:
    before = co_occurrence.fit(folder(tmp_path / "before"))
    others: Dict[str, List[Any]] = {
        "user_id": [1, 2], "item_id": [13, 12], "event_time": [40, 7], "past": [[10], [11]], "click": [1.0, 1.0],
    }
    after = co_occurrence.fit(folder(tmp_path / "after", others=others))
    assert (before.similarity != after.similarity).nnz == 0


def test_rows_that_did_not_happen_do_not_count(tmp_path: Path) -> None:
    labels = {"click": [0.0, 1.0, 1.0, 1.0, 1.0]}  # user 1 was shown 12 and did not click
    found = co_occurrence.fit(folder(tmp_path / "data", labels, positives_only=False))
    np.testing.assert_allclose(found.score(asked([10]), ALL), [[0, 1, 0, 0]])


def test_the_same_item_again_is_no_neighbour_of_itself() -> None:
    found = co_occurrence.similarity(np.array([1, 1, 1]), np.array([0, 0, 1]), 2).toarray()
    # c(0, 1) = 2 of two events of 0 and one of 1.
    np.testing.assert_allclose(found, [[0, 2**0.5], [2**0.5, 0]], rtol=1e-6)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({**SCHEMA, "roles": {"item": "item_id", "time": "seconds"}}, "needs roles.user, and schema 'events' has none"),
        ({**SCHEMA, "features": [f for f in SCHEMA["features"] if f is not HISTORY]}, "needs a history of items"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, schema: Dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        co_occurrence.fit(folder(tmp_path / "data", schema=schema))
