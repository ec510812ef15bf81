"""The items most like each item: by hand, by ScaNN, and as the command writes them; and skew's look at the manifest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pipeline import console, inference, verbs
from pipeline.builder import Built
from pipeline.items import load as load_items
from pipeline.prepared import Prepared
from pipeline.retrieval import neighbours
from pipeline.retrieval.exported import as_exported
from pipeline.retrieval.similar_command import chosen
from signatures.errors import UsageError
from signatures.manifest import Data, Manifest, Retrieval
from tests import built_models


@pytest.fixture(scope="module")
def two_tower(tiny_prepared: Prepared) -> Built:
    return built_models.built("two_tower", tiny_prepared)


def test_the_nearest_by_angle_come_first() -> None:
    # Angles of 0, 10, 30 and 90 degrees, lengths that do not matter: cos 10, cos 30, cos 90 from the first.
    angles, lengths = np.radians([0.0, 10.0, 30.0, 90.0]), np.array([1.0, 5.0, 0.1, 9.0])
    vectors = (np.stack([np.cos(angles), np.sin(angles)], axis=1) * lengths[:, np.newaxis]).astype(np.float32)
    found = neighbours.neighbours(vectors, 2, "exact")
    assert found.positions.tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]
    np.testing.assert_allclose(found.cosines[0], np.cos(np.radians([10.0, 30.0])), atol=1e-6)
    assert found.recall == 1.0


def test_twins_are_each_others_neighbours_and_never_their_own() -> None:
    vectors = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)  # four of each of three kinds
    found = neighbours.neighbours(vectors, 3, "exact").positions
    for item, row in enumerate(found.tolist()):
        assert sorted([*row, item]) == [item // 4 * 4 + each for each in range(4)]


def test_many_items_are_searched_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    whole = neighbours.neighbours(vectors, 5, "exact")
    monkeypatch.setattr(neighbours, "_CELLS", 350)  # 7 rows of 50
    starts = []

    def progress(given: Any) -> Any:
        starts.extend(given)
        return given

    np.testing.assert_array_equal(neighbours.neighbours(vectors, 5, "exact", progress).positions, whole.positions)
    assert starts == list(range(0, 50, 7))


def test_scann_finds_nearly_all_and_says_how_many() -> None:
    pytest.importorskip("scann", reason="scann has no wheel for this platform")
    draw = np.random.default_rng(0)
    vectors = (draw.normal(size=(40, 8))[draw.integers(0, 40, 2000)] + 0.3 * draw.normal(size=(2000, 8))).astype("f4")
    exact, found = (neighbours.neighbours(vectors, 10, way) for way in ("exact", "scann"))
    shared = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact.positions.tolist(), found.positions.tolist())])
    assert shared > 0.95 and found.recall == pytest.approx(shared, abs=0.02)
    assert not (found.positions == np.arange(2000)[:, np.newaxis]).any()


def test_a_search_that_misses_has_a_lower_recall(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    exact = neighbours._exact

    def every_second(units: np.ndarray, width: int) -> neighbours.Search:
        """The item itself, and of the others the second, fourth, ... nearest."""

        def search(asked: np.ndarray) -> Any:
            return tuple(each[:, [0, *range(2, 2 * width - 1, 2)]] for each in exact(units, 2 * width)(asked))

        return search

    monkeypatch.setattr(neighbours, "_scann", every_second)
    assert neighbours.neighbours(vectors, 10, "scann").recall == pytest.approx(0.5)


@pytest.mark.parametrize("count", [0, 4])
def test_there_must_be_so_many_others(count: int) -> None:
    with pytest.raises(UsageError, match=f"count is {count}, but an item has 3 others; choose 1 to 3"):
        neighbours.neighbours(np.eye(4, dtype=np.float32), count, "exact")


def test_an_index_is_named_or_chosen_by_size() -> None:
    assert [chosen("auto", 50_000), chosen("auto", 50_001)] == ["exact", "scann"]
    assert [chosen("scann", 5), chosen("exact", 10**9)] == ["scann", "exact"]
    with pytest.raises(UsageError, match="index is 'faiss'; choose auto, exact or scann"):
        chosen("faiss", 5)


def test_the_command_writes_one_file(
    two_tower: Built, tiny_prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "restore", lambda *arguments: two_tower)
    output = tmp_path / "similar.parquet"
    options = ["similar", "--dataset", str(tiny_prepared.folder), "--output", str(output), "--count", "3"]
    asked = CliRunner().invoke(console.app, options, catch_exceptions=False)
    assert asked.exit_code == 0
    items = load_items(tiny_prepared)
    written = pq.read_table(output)
    assert written.column_names == ["item", "place", "similar", "cosine"]
    assert len(written) == 3 * len(items.ids) and written["place"].to_pylist()[:4] == [1, 2, 3, 1]
    vectors = inference.item_vectors(two_tower, items)  # of length 1
    one, other = (items.index(written[name].to_numpy()) for name in ("item", "similar"))
    np.testing.assert_allclose(np.sum(vectors[one] * vectors[other], axis=1), written["cosine"], atol=1e-5)


def test_the_command_needs_vectors_and_a_form(
    tiny_prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "restore", lambda *arguments: built_models.built("deepfm", tiny_prepared))
    folder = ["--dataset", str(tiny_prepared.folder)]
    for output, why in (("a.parquet", "two_tower makes no vectors of items"), ("a.txt", "has no form")):
        asked = CliRunner().invoke(console.app, ["similar", *folder, "--output", str(tmp_path / output)])
        assert isinstance(asked.exception, UsageError) and why in str(asked.exception)
    assert not list(tmp_path.iterdir())


def test_what_an_export_searched_is_searched_again(two_tower: Built) -> None:
    given = two_tower.experiment.retrieval.model_copy(update={"index": "inverted_file"})
    built = replace(two_tower, experiment=two_tower.experiment.model_copy(update={"retrieval": given}))
    how = Retrieval(index="inverted_file", items=9, lists=2, probes=7, users=1, recall={})
    found = as_exported(built, described(retrieve=how)).experiment.retrieval
    assert (found.index, found.lists, found.probes, found.scann) == ("inverted_file", 2, 7, False)
    exact, scann = (Retrieval(index=index, items=9, users=1, recall={}) for index in ("exact", "scann"))
    found = as_exported(built, described(retrieve=exact, retrieve_scann=scann)).experiment.retrieval
    assert (found.index, found.probes, found.scann) == ("exact", None, True)
    assert as_exported(built, described()) is built


def described(**retrieval: Retrieval) -> Manifest:
    return Manifest(
        model="two_tower",
        version=1,
        created="2026-01-01T00:00:00+00:00",
        schema_hash="",
        features=(),
        training_only=(),
        signatures={},
        server_image="",
        metrics={},
        data=Data(name="", fingerprint="", synthetic=True),
        code_commit="",
        retrieval=retrieval,
    )
