"""Logistic regression and boosted trees as baselines: columns and optimum by hand, and nothing of the test part."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.baselines import gradient_boosting, labelled, logistic_regression, registry, tree_columns
from pipeline.baselines.labelled import Examples
from pipeline.baselines.one_hot import OneHot
from pipeline.baselines.tree_columns import TreeColumns
from pipeline.console import app
from pipeline.evaluation import metrics
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.results import flat, load
from pipeline.prepared import Prepared
from signatures.errors import UsageError
from tests import prepared_folder

SCHEMA: Dict[str, Any] = {
    "name": "shown",
    "features": [
        {"name": "city", "kind": "categorical", "side": "user", "dtype": "string"},
        {"name": "age", "kind": "numeric", "side": "user", "transform": "bucketise", "boundaries": [20, 40]},
        {"name": "film", "kind": "categorical", "side": "item"},
        {"name": "genres", "kind": "bag", "side": "item", "dtype": "string"},
        {"name": "length", "kind": "numeric", "side": "item"},
    ],
    "labels": [{"name": "like"}, {"name": "finish"}],
    "masks": [{"name": "like_mask"}],
    "tasks": [{"name": "like", "label": "like", "mask": "like_mask"}, {"name": "finish", "label": "finish"}],
}
LABELLED = ("logistic_regression", "gradient_boosting")
STATISTICS = {"length": {"mean": 100.0, "deviation": 10.0}, "age": {"mean": 0.0, "deviation": 1.0}}


def drawn(rows: int, seed: int) -> Dict[str, List[Any]]:
    """Rows of which the likes follow the film, and the finishes whether exactly one of city and age is great."""
    random = np.random.default_rng(seed)
    city, old, film = random.integers(0, 2, rows), random.integers(0, 2, rows), random.integers(0, 6, rows)
    return {
        "city": ["Oslo" if c else "Rome" for c in city],
        "age": np.where(old, 50.0, 10.0).tolist(),
        "film": (film + 100).tolist(),
        "genres": [["war"] if f < 3 else ["war", "comedy"] for f in film],
        "length": (90.0 + film).tolist(),
        "like": (random.random(rows) < np.where(film < 3, 0.2, 0.8)).astype(float).tolist(),
        "finish": (city ^ old).astype(float).tolist(),
        "like_mask": [1.0] * rows,
    }


def folder(path: Path, test: Dict[str, List[Any]], **options: Any) -> Prepared:
    parts = {"train": drawn(600, 0), "validation": drawn(300, 1), "test": test}
    return prepared_folder.write(path, SCHEMA, parts, statistics=STATISTICS, **{"positives_only": False, **options})


@pytest.fixture
def shown(tmp_path: Path) -> Prepared:
    return folder(tmp_path / "shown", drawn(300, 2))


def test_one_hot_columns_by_hand(tmp_path: Path) -> None:
    train: Dict[str, List[Any]] = {
        "city": ["Rome", "Oslo", "Rome"], "age": [20.0, 50.0, float("nan")], "film": [7, -1, 7],
        "genres": [["war"], [], ["war", "war", "comedy"]], "length": [120.0, 100.0, float("nan")],
        "like": [1.0, 0.0, 1.0], "finish": [1.0, 0.0, 1.0], "like_mask": [1.0, 1.0, 1.0],
    }  # fmt: skip
    parts = {"train": train, "validation": train, "test": train}
    prepared = prepared_folder.write(tmp_path / "t", SCHEMA, parts, statistics=STATISTICS, positives_only=False)
    rows = labelled.read(prepared, "train")
    # Rome, Oslo (by frequency) | below 20, from 20, from 40 | film 7 | war, comedy | (length - 100) / 10
    expected = [
        [1, 0, 0, 1, 0, 1, 1, 0, 2],
        [0, 1, 0, 0, 1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 1, 1, 1, 0],
    ]
    encode = OneHot(prepared, rows)
    np.testing.assert_allclose(encode(rows).toarray(), expected)
    rows["city"], rows["film"] = np.array(["Lima", "", "Oslo"], object), np.array([8, 8, 7])
    np.testing.assert_allclose(encode(rows).toarray()[:, [0, 1, 5]], [[0, 0, 0], [0, 0, 0], [0, 1, 1]])


def test_logistic_regression_is_where_its_gradient_is_zero(shown: Prepared) -> None:
    task = shown.schema.task("like")
    train = labelled.examples(labelled.read(shown, "train"), task, "train")
    train.weights[:300] = 2.0
    validation = labelled.examples(labelled.read(shown, "validation"), task, "validation")
    encode = OneHot(shown, train.rows)
    model, penalty = logistic_regression.choose(encode, train, validation)
    x = encode(train.rows).toarray()
    wrong = train.weights * (train.labels - metrics.probabilities(x @ model.coef_[0] + model.intercept_[0]))
    np.testing.assert_allclose(model.coef_[0], penalty * (x.T @ wrong), atol=0.005)
    assert abs(wrong.sum()) < 0.005


def test_the_penalty_is_the_best_on_the_validation_part(shown: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    task = shown.schema.task("like")
    train, validation = (labelled.examples(labelled.read(shown, p), task, p) for p in ("train", "validation"))
    encode = OneHot(shown, train.rows)
    losses = {}
    for penalty in (1e-4, 0.01, 100.0):
        monkeypatch.setattr(logistic_regression, "PENALTIES", (penalty,))
        model, _ = logistic_regression.choose(encode, train, validation)
        losses[penalty] = metrics.log_loss(validation.labels, model.decision_function(encode(validation.rows)))
    monkeypatch.setattr(logistic_regression, "PENALTIES", (1e-4, 0.01, 100.0))
    _, chosen = logistic_regression.choose(encode, train, validation)
    assert losses[chosen] == min(losses.values()) and chosen != 1e-4


def test_trees_find_what_no_line_does(shown: Prepared) -> None:
    figures = {}
    for name in LABELLED:
        answer = evaluate(shown, {name: registry.load(name)(shown)}, "test").answers[name]
        figures[name] = answer.tasks
        assert list(answer.tasks) == ["like", "finish"] and answer.tasks["like"].log_loss is not None
        assert (answer.tasks["like"].auc or 0.0) > 0.72
    assert abs((figures["logistic_regression"]["finish"].auc or 0.0) - 0.5) < 0.1
    assert (figures["gradient_boosting"]["finish"].auc or 0.0) > 0.99


@pytest.mark.parametrize("name", LABELLED)
def test_test_rows_change_nothing(name: str, shown: Prepared, tmp_path: Path) -> None:
    flipped = drawn(500, 3)
    flipped["like"] = [1.0 - like for like in flipped["like"]]
    other = folder(tmp_path / "other", flipped)
    rows = labelled.read(shown, "test")
    scorers: List[Any] = [registry.load(name)(prepared) for prepared in (shown, other)]
    before, after = (scorer.predict(rows) for scorer in scorers)
    assert all(np.array_equal(before[task], after[task]) for task in ("like", "finish"))


def test_shares_by_hand(monkeypatch: pytest.MonkeyPatch, shown: Prepared) -> None:
    monkeypatch.setattr(tree_columns, "FEW", 2)  # so that the six films are told by shares, the two cities by codes
    columns = TreeColumns(shown.schema, examples := _films([7, 7, 8, 9], [1, 0, 1, 1]))
    assert columns.categorical == (0,)
    found = columns(_films([7, 8, 5], [0, 0, 0]).rows)[:, 2:4]
    # 3 of 4 are positive; 20 rows of that average besides the value's own: (1 + 15) / 22, (1 + 15) / 21, 15 / 20.
    np.testing.assert_allclose(found[:, 0], [16 / 22, 16 / 21, 15 / 20])
    np.testing.assert_allclose(found[:, 1], np.log([3, 2, 1]))
    assert columns.of_training().shape == (len(examples.labels), found.shape[1] + 4)


def test_shares_of_training_rows_by_hand(monkeypatch: pytest.MonkeyPatch, shown: Prepared) -> None:
    monkeypatch.setattr(tree_columns, "FEW", 2)
    monkeypatch.setattr(tree_columns, "FOLDS", 1000)  # so that each row has a fold of its own
    found = TreeColumns(shown.schema, _films([7, 7, 8, 9], [1, 0, 1, 1])).of_training()[:, 2:4]
    # Without row 0: average 2/3, film 7 has 0 of 1. Without row 1: average 1, film 7 has 1 of 1. Without row 2 or 3:
    # average 2/3, and the film has no row. The count is of all rows: it tells no label.
    expected = [(0 + 20 * 2 / 3) / 21, (1 + 20 * 1) / 21, 2 / 3, 2 / 3]
    np.testing.assert_allclose(found, np.column_stack([expected, np.log([3, 3, 2, 2])]))


def test_no_row_knows_its_own_label(monkeypatch: pytest.MonkeyPatch, shown: Prepared) -> None:
    monkeypatch.setattr(tree_columns, "FEW", 1)
    random = np.random.default_rng(0)
    films, labels = random.integers(0, 9, 200).tolist(), random.integers(0, 2, 200)
    before = TreeColumns(shown.schema, _films(films, labels.tolist())).of_training()
    labels[17] = 1 - labels[17]
    after = TreeColumns(shown.schema, _films(films, labels.tolist())).of_training()
    assert np.array_equal(before[17], after[17])
    same_film = [row for row, film in enumerate(films) if film == films[17] and row != 17]
    assert any(not np.array_equal(before[row], after[row]) for row in same_film)


def _films(films: List[int], labels: List[int]) -> Examples:
    n = len(films)
    rows = {
        "city": np.array(["Oslo", "Rome"] * n, object)[:n], "age": np.full(n, 30.0, np.float32),
        "film": np.array(films), "genres": np.full((n, 1), "war", object), "genres_length": np.ones(n, np.int64),
        "length": np.full(n, 90.0, np.float32),
    }  # fmt: skip
    return Examples(rows, np.array(labels, np.int8), np.ones(n, np.float32))


@pytest.mark.parametrize("name", LABELLED)
def test_a_candidate_scores_as_its_row(name: str, tmp_path: Path) -> None:
    schema = {**SCHEMA, "roles": {"item": "film", "user": "city"}}
    items: Dict[str, List[Any]] = {
        "film": [100, 104, 105], "genres": [["war"], ["comedy"], ["war", "comedy"]], "length": [90.0, 94.0, 120.0],
        "train_count": [1, 1, 1],
    }  # fmt: skip
    parts = {"train": drawn(600, 0), "validation": drawn(300, 1), "test": drawn(4, 2)}
    prepared = prepared_folder.write(
        tmp_path / "t", schema, parts, items, statistics=STATISTICS, positives_only=False
    )
    fitted: Any = registry.load(name)(prepared)
    own = {"city": np.array(["Oslo", "Rome"], object), "age": np.array([10.0, 50.0], np.float32)}
    found = fitted.logits(own, np.array([[0, 2], [1, 1]]))
    rows = {
        "city": np.array(["Oslo", "Oslo", "Rome"], object), "age": np.array([10.0, 10.0, 50.0], np.float32),
        "film": np.array([100, 105, 104]), "length": np.array([90.0, 120.0, 94.0], np.float32),
        "genres": np.array([["war", ""], ["war", "comedy"], ["comedy", ""]], object),
        "genres_length": np.array([1, 2, 1]),
    }  # fmt: skip
    for task, expected in fitted.predict(rows).items():
        np.testing.assert_allclose(found[task], [expected[:2], expected[[2, 2]]], rtol=1e-6)
    assert np.array_equal(fitted.score(own, np.array([[0, 2], [1, 1]])), found["like"])


@pytest.mark.parametrize("name", LABELLED)
def test_without_labels_there_is_nothing_to_learn(name: str, tmp_path: Path) -> None:
    schema = {**SCHEMA, "tasks": SCHEMA["tasks"][1:], "labels": SCHEMA["labels"][1:], "masks": []}
    parts = {part: drawn(30, 0) for part in ("train", "validation", "test")}
    events = prepared_folder.write(tmp_path / "t", schema, parts, statistics=STATISTICS)
    with pytest.raises(UsageError, match=f"{name} learns from labelled rows, and data set 'test' holds events only"):
        registry.load(name)(events)


def test_one_class_is_named(tmp_path: Path) -> None:
    rows = {**drawn(30, 0), "finish": [1.0] * 30}
    parts = dict.fromkeys(("train", "validation", "test"), rows)
    prepared = prepared_folder.write(tmp_path / "t", SCHEMA, parts, statistics=STATISTICS, positives_only=False)
    with pytest.raises(UsageError, match="label 'finish' is the same in all training rows that count"):
        gradient_boosting.fit(prepared)


def test_masked_rows_do_not_count(shown: Prepared) -> None:
    rows = labelled.read(shown, "train")
    rows["like_mask"] = (np.arange(600) < 10).astype(np.float32)
    assert len(labelled.examples(rows, shown.schema.task("like"), "train").labels) == 10


def test_baselines_of_rows_load_without_tensorflow() -> None:
    names = [f"pipeline.baselines.{name}" for name in ("co_occurrence", *LABELLED)]
    code = f"import sys, {', '.join(names)}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_baseline_is_an_error() -> None:
    with pytest.raises(UsageError, match="baseline 'magic' is unknown; choose one of popularity, co_occurrence"):
        registry.load("magic")


def test_every_name_has_a_file() -> None:
    assert all(callable(registry.load(name)) for name in registry.NAMES)


def test_the_console_asks_baselines_beside_popularity(tiny_prepared: Prepared, tmp_path: Path) -> None:
    command = ["evaluate", "--baseline", "co_occurrence", "--baseline", "popularity", "--dataset"]
    options = [str(tiny_prepared.folder), "--runs", str(tmp_path), "--negatives", "20"]
    said = CliRunner().invoke(app, [*command, *options])
    assert said.exit_code == 0, said.output
    found = load(tmp_path / tiny_prepared.folder.name / "evaluation_test.json").answers
    assert list(found) == ["popularity", "co_occurrence"]
    counted, popular = (flat(found[name])["hr@10"] for name in ("co_occurrence", "popularity"))
    assert counted > popular  # the synthetic set has films that follow films


def test_the_console_names_an_unknown_baseline(tiny_prepared: Prepared, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="baseline 'magic' is unknown; choose one of"):
        CliRunner().invoke(
            app, ["evaluate", "--baseline", "magic", "--dataset", str(tiny_prepared.folder), "--runs", str(tmp_path)],
            catch_exceptions=False,
        )  # fmt: skip
