"""Evaluation from files to figures, with scorers whose right answer is known beforehand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np
import pytest

from pipeline import items as item_files
from pipeline import rows as row_files
from pipeline.evaluation import results as evaluations
from pipeline.evaluation import scoring
from pipeline.evaluation.evaluate import evaluate, validate
from pipeline.evaluation.questions import ask
from pipeline.evaluation.results import POPULARITY, Evaluation, Protocol, flat
from pipeline.evaluation.scoring import ModelScorer
from pipeline.prepared import Prepared
from pipeline.rows import Rows
from signatures.errors import UsageError
from tests import built_models, prepared_folder

ITEMS = 30
POSITIVES = [10, 11, 12, 13]
"""By user 0..3, in the test part; the items 20..23 in validation; in training user u met 0..u+1."""
SMALL = Protocol(negatives=8, ks=(1, 2, 5), task_negatives=2)

SCHEMA: Dict[str, Any] = {
    "name": "events",
    "roles": {"user": "user_id", "item": "item_id"},
    "features": [
        {"name": "user_id", "kind": "categorical", "side": "user"},
        {"name": "item_id", "kind": "categorical", "side": "item"},
    ],
    "labels": [{"name": "click"}, {"name": "like"}],
    "masks": [{"name": "like_mask"}],
    "tasks": [{"name": "click", "label": "click"}, {"name": "like", "label": "like", "mask": "like_mask"}],
}


def _events(users: List[int], items: List[int], like: Optional[List[float]] = None) -> Dict[str, List[Any]]:
    ones = [1.0] * len(users)
    mask = [1.0, *ones[:-2], 0.0]
    return {"user_id": users, "item_id": items, "click": ones, "like": like or ones, "like_mask": mask}


@pytest.fixture
def events(tmp_path: Path) -> Prepared:
    """Four users, 30 items. Training counts: items 0 and 1 have 4 events, 2 has 3, 3 has 2, 4 has 1, others none."""
    met = [(user, item) for user in range(4) for item in range(user + 2)]
    return prepared_folder.write(
        tmp_path / "events",
        SCHEMA,
        {
            "train": _events([u for u, _ in met], [i for _, i in met]),
            "validation": _events([0, 1, 2, 3], [20, 21, 22, 23]),
            "test": _events([0, 1, 2, 3], POSITIVES, like=[1.0, 0.0, 1.0, 1.0]),
        },
        {"item_id": list(range(ITEMS)), "train_count": [4, 4, 3, 2, 1] + [0] * 25},
        row_group=3,
    )


class Constant:
    """Knows nothing."""

    def score(self, rows: Rows, positions: np.ndarray) -> np.ndarray:
        return np.zeros(positions.shape, np.float32)


class Cheat:
    """Sees the answer: a score for the positive, another for all others."""

    def __init__(self, positive: float, others: float) -> None:
        self._positive, self._others = positive, others

    def score(self, rows: Rows, positions: np.ndarray) -> np.ndarray:
        own = np.array(POSITIVES)[rows["user_id"]][:, np.newaxis]
        return np.where(positions == own, self._positive, self._others).astype(np.float32)


class Oracle(Cheat):
    """Answers tasks too, with fixed log-odds."""

    probability = True

    def __init__(self) -> None:
        super().__init__(2.0, -1.0)

    def logits(self, rows: Rows, positions: np.ndarray) -> Dict[str, np.ndarray]:
        return {"click": self.score(rows, positions), "like": self.score(rows, positions)}

    def predict(self, rows: Rows) -> Dict[str, np.ndarray]:
        return {"like": np.array([1.0, 2.0, 3.0, 4.0], np.float32)}


def test_a_constant_scorer_gets_nothing(events: Prepared):
    answer = evaluate(events, {"constant": Constant()}, "test", SMALL).answers["constant"]
    for ranking in (answer.sampled, answer.full):
        assert ranking is not None
        assert all(at.hr == at.ndcg == at.mrr == at.precision == at.recall == 0.0 for at in ranking.at)
        assert ranking.median_rank == ranking.candidates
        assert ranking.gauc == 0.5
    assert answer.sampled is not None and answer.sampled.auc == 0.5


def test_a_scorer_that_sees_the_positive_gets_everything(events: Prepared):
    answer = evaluate(events, {"cheat": Cheat(1.0, 0.0)}, "test", SMALL).answers["cheat"]
    for ranking in (answer.sampled, answer.full):
        assert ranking is not None
        assert all(at.hr == at.ndcg == at.mrr == at.recall == 1.0 for at in ranking.at)
        assert [at.precision for at in ranking.at] == [1.0, 1 / 2, 1 / 5]
        assert ranking.gauc == 1.0 and ranking.mrr == 1.0 and ranking.median_rank == 1.0


def test_a_scorer_without_an_answer_ranks_last_and_is_counted(events: Prepared):
    answer = evaluate(events, {"nan": Cheat(float("nan"), 0.0)}, "test", SMALL).answers["nan"]
    assert answer.sampled is not None and answer.full is not None
    assert answer.sampled.median_rank == 9 and answer.sampled.at_k(5).hr == 0.0 and answer.sampled.auc == 0.0
    assert answer.sampled.unanswered == 4 and answer.full.unanswered == 4


def test_full_ranking_by_hand(events: Prepared):
    # By item number: user u has met 0..u+1 and 20+u, which leave the list; the positive is 10+u. Above it are, of
    # 11+u..29, all but 20+u: 18 - u items. Ranks 19, 18, 17, 16 of 30 - (u + 2) - 1 = 27, 26, 25, 24 candidates.
    class ByNumber(Constant):
        def score(self, rows: Rows, positions: np.ndarray) -> np.ndarray:
            return positions.astype(np.float32)

    protocol = SMALL.model_copy(update={"ks": (1, 17, 18)})
    full = evaluate(events, {"by_number": ByNumber()}, "test", protocol).answers["by_number"].full
    assert full is not None
    assert full.candidates == (27 + 26 + 25 + 24) / 4
    assert full.median_rank == 17.5
    assert full.mrr == pytest.approx((1 / 19 + 1 / 18 + 1 / 17 + 1 / 16) / 4)
    assert [at.hr for at in full.at] == [0.0, 2 / 4, 3 / 4]
    assert full.at_k(17).ndcg == pytest.approx((1 / math.log2(18) + 1 / math.log2(17)) / 4)
    assert full.at_k(17).precision == pytest.approx(2 / 4 / 17)
    # Of the others below the positive, over all others: (27-19)/26, (26-18)/25, (25-17)/24, (24-16)/23.
    assert full.gauc == pytest.approx((8 / 26 + 8 / 25 + 8 / 24 + 8 / 23) / 4)
    assert full.hr_curve[16] == 2 / 4 and len(full.hr_curve) == 18


def test_full_ranking_of_validation_does_not_know_of_the_test_part(events: Prepared):
    # Before validation came training only: 30 - (u + 2) items are left, for u = 0..3.
    full = evaluate(events, {}, "validation", SMALL).answers[POPULARITY].full
    assert full is not None and full.candidates == (28 + 27 + 26 + 25) / 4


def test_popularity_is_always_there_and_its_ties_count_against_it(events: Prepared):
    # No positive of the test part has a training event: tied with all items without one, below those with one.
    found = evaluate(events, {}, "test", SMALL)
    ranking = found.answers[POPULARITY].full
    assert list(found.answers) == [POPULARITY] and ranking is not None
    assert ranking.median_rank == ranking.candidates == 25.5 and ranking.at_k(5).hr == 0.0


def test_no_item_that_the_user_met_in_any_part_is_a_negative(events: Prepared):
    questions = ask(events, "test", Protocol(negatives=200))
    assert questions.lists is not None
    for user, row in enumerate(questions.lists.positions):
        met = {*range(user + 2), 20 + user, POSITIVES[user]}
        assert row[0] == POSITIVES[user]
        assert set(row[1:].tolist()) == set(range(ITEMS)) - met
    unfiltered = ask(events, "test", Protocol(negatives=29, seen_filter="none"))
    assert unfiltered.lists is not None
    assert all(set(row[1:].tolist()) == set(range(ITEMS)) - {row[0]} for row in unfiltered.lists.positions)


def test_a_task_with_a_mask_is_judged_on_its_labelled_rows(events: Prepared):
    # The mask leaves rows 0, 1, 2 with labels 1, 0, 1 and logits 1, 2, 3: one of two pairs is in order.
    found = evaluate(events, {"oracle": Oracle()}, "test", SMALL)
    like = found.answers["oracle"].tasks["like"]
    assert (like.rows, like.positives, like.auc) == (3, 2, 0.5)
    costs = [math.log1p(math.exp(-1)), math.log1p(math.exp(2)), math.log1p(math.exp(-3))]
    assert like.log_loss == pytest.approx(sum(costs) / 3, abs=1e-6)
    promised = sum(1 / (1 + math.exp(-z)) for z in (1, 2, 3))
    assert like.calibration == pytest.approx(promised / 2, abs=1e-6)
    assert like.gauc is None and like.gauc_skipped == 3  # one row a user
    # Training has only likes, so that there is no base rate to compare with.
    assert found.questions["like"].base_rate == 1.0 and found.questions["like"].base_log_loss is None


def test_a_task_of_positives_only_gets_negatives(events: Prepared):
    # Log-odds 2 for the positive and -1 for its two negatives.
    found = evaluate(events, {"oracle": Oracle()}, "test", SMALL)
    click = found.answers["oracle"].tasks["click"]
    assert (click.rows, click.positives, click.auc, click.gauc) == (12, 4, 1.0, 1.0)
    expected = (math.log1p(math.exp(-2)) + 2 * math.log1p(math.exp(-1))) / 3
    assert click.log_loss == pytest.approx(expected, abs=1e-6)
    question = found.questions["click"]
    assert question.drawn_negatives and question.base_rate == pytest.approx(1 / 3)
    assert question.base_log_loss == pytest.approx(-(math.log(1 / 3) + 2 * math.log(2 / 3)) / 3)
    assert found.answers[POPULARITY].tasks["click"].log_loss is None  # counts are no probabilities


LABELLED: Dict[str, Any] = {
    "name": "shown",
    "features": [{"name": "price", "kind": "numeric", "side": "context", "transform": "none"}],
    "labels": [{"name": "bought"}],
    "tasks": [{"name": "buy", "label": "bought"}],
}


class ByPrice(Constant):
    """log-odds = price."""

    probability = True

    def logits(self, rows: Rows, positions: np.ndarray) -> Dict[str, np.ndarray]:
        return {}

    def predict(self, rows: Rows) -> Dict[str, np.ndarray]:
        return {"buy": rows["price"]}


def _labelled(folder: Path, schema: Dict[str, Any], **columns: List[Any]) -> Prepared:
    rows = {"price": [0.0, 1.0, 2.0, 3.0], "bought": [0.0, 1.0, 0.0, 1.0], **columns}
    train = {name: values[:2] + values[:2] for name, values in rows.items()}
    return prepared_folder.write(
        folder, schema, {"train": train, "validation": train, "test": rows}, positives_only=False, row_group=3
    )


def test_labelled_rows_without_an_item_are_predicted_and_not_ranked(tmp_path: Path):
    prepared = _labelled(tmp_path / "data", LABELLED)
    found = evaluate(prepared, {"by_price": ByPrice()}, "test")
    assert list(found.answers) == ["by_price"] and found.lists_digest is None
    assert "roles.item" in found.remarks[0]
    buy = found.answers["by_price"].tasks["buy"]
    assert buy.auc == 0.75  # positives 1, 3 against 0, 2: all pairs but (1, 2)
    assert buy.gauc is None
    assert found.questions["buy"].base_rate == 0.5
    assert found.questions["buy"].base_log_loss == pytest.approx(math.log(2))
    assert flat(found.answers["by_price"])["auc"] == 0.75
    assert validate(ask(prepared, "test", Protocol()), ByPrice()).keys() == {"auc", "log_loss"}


def test_labelled_rows_of_users_have_a_gauc(tmp_path: Path):
    features = [{"name": "user_id", "kind": "categorical", "side": "user"}, *LABELLED["features"]]
    schema = {**LABELLED, "features": features, "roles": {"user": "user_id"}}
    prepared = _labelled(tmp_path / "data", schema, user_id=[1, 2, 2, 1])
    buy = evaluate(prepared, {"by_price": ByPrice()}, "test").answers["by_price"].tasks["buy"]
    # User 1: 3 over 0, right. User 2: 1 over 2, wrong. Two rows each.
    assert buy.gauc == 0.5 and buy.gauc_groups == 2


def test_labelled_rows_with_users_and_items_are_ranked_by_their_positives(tmp_path: Path):
    prepared = prepared_folder.write(
        tmp_path / "data",
        {**SCHEMA, "labels": [{"name": "click"}], "masks": [], "tasks": SCHEMA["tasks"][:1]},
        {
            "train": {"user_id": [0, 1], "item_id": [0, 1], "click": [1.0, 0.0]},
            "test": {"user_id": [0, 0, 1, 1], "item_id": [2, 10, 11, 99], "click": [0.0, 1.0, 1.0, 1.0]},
        },
        {"item_id": list(range(ITEMS)), "train_count": [1] * ITEMS},
        positives_only=False,
        row_group=3,
    )
    found = evaluate(prepared, {"cheat": Cheat(1.0, 0.0)}, "test", SMALL)
    sampled = found.answers["cheat"].sampled
    # Rows 1 and 2 are positives of known items; row 0 is a negative, and item 99 is in no table.
    assert sampled is not None and sampled.lists == 2 and sampled.at_k(1).hr == 1.0
    assert found.remarks == ("1 positives were left out: their item is not in the item table.",)
    assert not found.questions["click"].drawn_negatives
    assert found.answers[POPULARITY].tasks["click"].rows == 4


def test_an_item_that_is_no_feature_is_ranked_and_popular_all_the_same(tmp_path: Path):
    schema = {**SCHEMA, "features": SCHEMA["features"][:1]}
    rows = _events([0, 1, 2], [3, 4, 3], like=[1.0, 0.0, 1.0])
    items = {"item_id": [3, 4, 5], "train_count": [2, 1, 0]}
    prepared = prepared_folder.write(tmp_path / "data", schema, {"train": rows, "test": rows}, items)
    answer = evaluate(prepared, {}, "test", SMALL).answers[POPULARITY]
    # The mask leaves rows 0 and 1: item 3 with 2 events is liked, item 4 with 1 is not.
    assert answer.tasks["like"].auc == 1.0 and answer.sampled is not None and answer.sampled.lists == 3


def test_what_depends_on_user_and_item_together_cannot_be_ranked(tmp_path: Path):
    cross = {"name": "distance", "kind": "numeric", "side": "cross", "transform": "none"}
    schema = {**SCHEMA, "features": [*SCHEMA["features"], cross]}
    rows = {**_events([0, 1], [3, 4], like=[1.0, 0.0]), "distance": [1.0, 2.0]}
    prepared = prepared_folder.write(
        tmp_path / "data", schema, {"train": rows, "test": rows}, {"item_id": [3, 4], "train_count": [1, 1]}
    )
    found = evaluate(prepared, {}, "test", SMALL)
    assert found.answers == {} and "distance" in found.remarks[0] and list(found.questions) == ["like"]


def test_an_evaluation_is_the_same_each_time(events: Prepared):
    once, again = (evaluate(events, {"oracle": Oracle()}, "test", SMALL) for _ in range(2))
    assert _without_times(once) == _without_times(again)
    other = evaluate(events, {"oracle": Oracle()}, "test", SMALL.model_copy(update={"seed": 2}))
    assert other.lists_digest != once.lists_digest


def _without_times(found: Evaluation) -> Dict[str, Any]:
    content = found.model_dump()
    del content["created"]
    for answer in content["answers"].values():
        for kind in ("sampled", "full"):
            del answer[kind]["seconds"]
    return content


def test_at_most_so_many_rows_evenly_spaced(events: Prepared):
    found = ask(events, "test", Protocol(negatives=3, rows=2))
    assert found.positives is not None and found.positives.items.tolist() == [POSITIVES[0], POSITIVES[3]]
    assert found.remarks == ("2 of 4 positives were evaluated.",)
    assert found.labelled is not None and found.labelled.rows["item_id"].tolist() == [POSITIVES[0], POSITIVES[3]]


def test_validation_during_training_gives_the_figures_of_an_evaluation(events: Prepared):
    scorer = Oracle()
    protocol = Protocol(negatives=20, ks=(10,), full_ranking=False)
    expected = flat(evaluate(events, {"oracle": scorer}, "test", protocol).answers["oracle"])
    found = validate(ask(events, "test", protocol), scorer)
    assert found == {name: expected[name] for name in ("auc", "gauc", "log_loss", "hr@10", "ndcg@10")}


def test_a_saved_evaluation_is_read_back(events: Prepared, tmp_path: Path):
    found = evaluate(events, {"oracle": Oracle()}, "test", SMALL)
    evaluations.save(found, tmp_path / "new folder" / "evaluation.json")
    assert evaluations.load(tmp_path / "new folder" / "evaluation.json") == found


@pytest.mark.parametrize("content", [None, "", "{}", '{"dataset": 3}'])
def test_what_is_no_evaluation_is_told_so(tmp_path: Path, content: Optional[str]):
    path = tmp_path / "evaluation.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match="is no evaluation that can be read; run signet evaluate again"):
        evaluations.load(path)


def test_flat_names(events: Prepared):
    found = flat(evaluate(events, {"oracle": Oracle()}, "test", SMALL).answers["oracle"])
    assert found["full/hr@1"] == found["hr@5"] == found["click/auc"] == found["recall@2"] == 1.0
    assert found["log_loss"] == found["click/log_loss"] != found["like/log_loss"]
    assert found["precision@5"] == pytest.approx(0.2)
    assert "like/gauc" not in found and "full/auc" not in found


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"negative": 3}, "negative\n  Extra inputs are not permitted"),
        ({"ks": (5, 1)}, r"ks are \[5, 1\]; list them in increasing order"),
        ({"ks": (0, 1)}, "each once, from 1 on"),
        ({"negatives": 0}, "greater than or equal to 1"),
    ],
)
def test_a_protocol_that_makes_no_sense_is_refused(content: Dict[str, Any], problem: str):
    with pytest.raises(ValueError, match=problem):
        Protocol.model_validate(content)


def test_a_model_may_not_be_called_as_the_baseline(events: Prepared):
    with pytest.raises(UsageError, match="'popularity' is taken by the baseline; rename the model"):
        evaluate(events, {POPULARITY: Constant()})


def test_a_part_without_a_positive_is_told_so(tmp_path: Path):
    prepared = prepared_folder.write(
        tmp_path / "data",
        SCHEMA,
        {"train": _events([0, 1], [3, 4]), "test": _events([0, 1], [99, 98])},
        {"item_id": [3, 4], "train_count": [1, 1]},
    )
    with pytest.raises(UsageError, match="has no positive row with a known item"):
        evaluate(prepared, {}, "test", SMALL)


def test_users_who_have_met_everything_are_told_so(tmp_path: Path):
    rows = _events([0, 0], [3, 4])
    items = {"item_id": [3, 4], "train_count": [1, 1]}
    prepared = prepared_folder.write(tmp_path / "data", SCHEMA, {"train": rows, "test": rows}, items)
    with pytest.raises(UsageError, match="set seen_filter to none, or add items"):
        evaluate(prepared, {}, "test", SMALL)


@pytest.fixture(scope="module")
def model_scorer(tiny_prepared: Prepared) -> ModelScorer:
    built = built_models.built("deepfm", tiny_prepared)
    return ModelScorer(built.encoder, built.model, item_files.load(tiny_prepared))


def test_a_model_scores_a_candidate_as_it_predicts_the_row(tiny_prepared: Prepared, model_scorer: ModelScorer):
    schema = tiny_prepared.schema
    rows = row_files.read(tiny_prepared, "test", schema.columns())
    items = item_files.load(tiny_prepared)
    positions = np.random.default_rng(0).integers(0, len(items.ids), (len(rows["user_id"]), 3))
    ranked = model_scorer.score(rows, positions)
    assert np.array_equal(model_scorer.logits(rows, positions)["click"], ranked)
    for column in range(3):
        tiled = {**rows, **items.take(positions[:, column])}
        assert ranked[:, column] == pytest.approx(model_scorer.predict(tiled)["click"], abs=1e-5)
    assert ranked.std() > 1e-4  # an untrained model tells candidates apart, or this test says nothing


def test_scores_do_not_depend_on_the_batches(
    tiny_prepared: Prepared, model_scorer: ModelScorer, monkeypatch: pytest.MonkeyPatch
):
    rows = row_files.read(tiny_prepared, "test", tiny_prepared.schema.columns())
    positions = np.random.default_rng(1).integers(0, 80, (len(rows["user_id"]), 11))
    scores, predicted = model_scorer.score(rows, positions), model_scorer.predict(rows)["click"]
    monkeypatch.setattr(scoring, "_PAIRS", 7)  # fewer than a list
    monkeypatch.setattr(scoring, "_USERS", 5)
    assert model_scorer.score(rows, positions) == pytest.approx(scores, abs=1e-6)
    assert model_scorer.predict(rows)["click"] == pytest.approx(predicted, abs=1e-6)


def test_a_scorer_follows_the_training_of_its_model(tiny_prepared: Prepared):
    built = built_models.built("deepfm", tiny_prepared)
    scorer = ModelScorer(built.encoder, built.model, item_files.load(tiny_prepared))
    questions = ask(tiny_prepared, "validation", Protocol(negatives=20))
    before = validate(questions, scorer)
    assert validate(questions, scorer) == before
    for variable in built.model.trainable_variables:
        variable.assign(-2.0 * variable + 0.01)
    assert validate(questions, scorer)["auc"] != before["auc"]


def test_a_scorer_without_items_predicts_and_says_why_it_cannot_rank(tiny_prepared: Prepared):
    built = built_models.built("deepfm", tiny_prepared)
    scorer = ModelScorer(built.encoder, built.model, None)
    rows = row_files.read(tiny_prepared, "test", tiny_prepared.schema.columns())
    assert scorer.predict(rows)["click"].shape == rows["user_id"].shape
    with pytest.raises(UsageError, match="made without an item table"):
        scorer.score(rows, np.zeros((len(rows["user_id"]), 1), np.int64))


@pytest.mark.data
def test_popularity_on_movielens_has_the_known_figures(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from rich.console import Console

    from pipeline.preparation.options import Options
    from pipeline.preparation.prepare import prepare

    monkeypatch.setenv("SIGNET_DATA_DIR", str(data_dir))
    prepared = prepare("ml-100k", tmp_path / "ml-100k", Options(), Console(quiet=True))
    found = [flat(evaluate(prepared, {}, "test", Protocol(seed=seed)).answers[POPULARITY]) for seed in range(5)]
    # Measured elsewhere on the last item of each user, 200 uniform unseen negatives, ties against the model; five draws
    # of the lists leave an error of 0.002 (AUC) and 0.004 (HR, NDCG), and equal times are ordered as one likes.
    mean = {name: float(np.mean([figures[name] for figures in found])) for name in found[0]}
    assert mean["auc"] == pytest.approx(0.794, abs=0.004)
    assert mean["gauc"] == pytest.approx(0.797, abs=0.004)
    assert mean["hr@10"] == pytest.approx(0.268, abs=0.010)
    assert mean["ndcg@10"] == pytest.approx(0.152, abs=0.008)
    assert mean["full/hr@10"] == pytest.approx(0.086, abs=0.006)
    assert mean["full/ndcg@10"] == pytest.approx(0.044, abs=0.004)
