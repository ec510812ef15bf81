"""What a comparison adds to the figures: intervals, differences on the same users, learning, costs, and one page."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

import numpy as np
import pytest

from pipeline.checkpoints import Clock, RunState, state_of
from pipeline.evaluation import bootstrap, cost, report
from pipeline.evaluation import results as evaluations
from pipeline.evaluation.aspect_tables import cost_table, difference_table, slice_tables
from pipeline.evaluation.aspects import Cost, Difference
from pipeline.evaluation.evaluate import answer, ask_all, difference, evaluate
from pipeline.evaluation.results import POPULARITY, Evaluation, Protocol, flat
from pipeline.prepared import Prepared
from pipeline.rows import Rows
from signatures.errors import UsageError
from tests import built_models
from tests.test_console import refuses, signet
from tests.test_pipeline_report import Numbered, _parsed

SMALL = Protocol(negatives=20, ks=(1, 5, 10), resamples=200)


class Doubled(Numbered):
    """Twice the logits of another: the same order."""

    def score(self, rows: Rows, positions: np.ndarray) -> np.ndarray:
        return 2 * super().score(rows, positions)


@pytest.fixture(scope="module")
def found(tiny_prepared: Prepared) -> Evaluation:
    scorers = {"up": Numbered(1.0), "twice": Doubled(1.0), "down": Numbered(-1.0)}
    return evaluate(tiny_prepared, scorers, "test", SMALL, base="up")


def test_every_figure_lies_in_its_interval(found: Evaluation) -> None:
    for name, own in found.answers.items():
        figures = flat(own)
        assert {"auc", "gauc", "mrr", "hr@10", "ndcg@1", "full/hr@10", "full/gauc", "like/auc"} <= set(own.intervals)
        for figure, (low, high) in own.intervals.items():
            assert low <= figures[figure] <= high, (name, figure)
    assert "like/log_loss" in found.answers["up"].intervals
    assert "like/log_loss" not in found.answers[POPULARITY].intervals  # it promises no probability


def test_the_same_order_differs_in_nothing_but_the_loss(found: Evaluation) -> None:
    same = found.differences["twice"]
    assert same["auc"] == same["hr@10"] == same["full/ndcg@5"] == Difference(value=0.0, interval=(0.0, 0.0))
    assert not same["auc"].beyond_chance
    assert same["like/log_loss"].interval is not None and same["like/log_loss"].interval != (0.0, 0.0)


def test_a_difference_is_that_of_the_paired_draws(tiny_prepared: Prepared) -> None:
    asked = ask_all(tiny_prepared, "test", SMALL)
    one, other = answer("up", Numbered(1.0), asked), answer("down", Numbered(-1.0), asked)
    found = difference(one, other)["hr@10"]
    assert found.value == pytest.approx(flat(one.answer)["hr@10"] - flat(other.answer)["hr@10"])
    assert found.interval == bootstrap.interval(one.draws["hr@10"] - other.draws["hr@10"])


def test_the_best_is_the_base_unless_one_is_named(tiny_prepared: Prepared, found: Evaluation) -> None:
    assert found.base == "up" and list(found.differences) == [POPULARITY, "twice", "down"]
    chosen = evaluate(tiny_prepared, {"up": Numbered(1.0)}, "test", SMALL)
    gains = {name: own.sampled.at_k(10).ndcg for name, own in chosen.answers.items() if own.sampled}
    assert chosen.base == max(gains, key=lambda name: gains[name])
    with pytest.raises(UsageError, match="base 'left' is not among those evaluated; choose one of popularity, up"):
        evaluate(tiny_prepared, {"up": Numbered(1.0)}, "test", SMALL, base="left")


def test_no_resamples_no_intervals(tiny_prepared: Prepared) -> None:
    none = evaluate(tiny_prepared, {"up": Numbered(1.0)}, "test", SMALL.model_copy(update={"resamples": 0}))
    assert all(not own.intervals for own in none.answers.values())
    assert "resamples" not in " ".join(sentence for sentence in _parsed(report.html(none)).text if "range" in sentence)


def test_slices_hold_every_list_once(found: Evaluation) -> None:
    for own in found.answers.values():
        rows: Dict[str, int] = {}
        for each in own.slices:
            rows[each.by] = rows.get(each.by, 0) + each.rows
        assert rows == {"activity of the user": found.rows_evaluated, "popularity of the item": found.rows_evaluated}
    assert [table.title for table in slice_tables(found)] == [
        "hr@10 by activity of the user", "hr@10 by popularity of the item",
    ]


def test_a_difference_beyond_chance_is_marked(found: Evaluation) -> None:
    table = difference_table(found)
    assert table is not None and table.columns[:4] == ("auc", "gauc", "hr@10", "ndcg@10")
    for name, cells in table.rows:
        for title, cell in zip(table.columns, cells):
            known = found.differences[name].get(title)
            assert cell.best == (known is not None and known.beyond_chance)
    assert Difference(value=0.1, interval=(0.01, 0.2)).beyond_chance
    assert not Difference(value=0.1, interval=(-0.01, 0.2)).beyond_chance


def test_the_least_cost_is_marked() -> None:
    small = Cost(parameters=1_000, variable_bytes=4_000, cpu_seconds=20.0, wall_seconds=10.0)
    large = Cost(parameters=1_500_000, variable_bytes=6_000_000, rank_milliseconds=2.5, rank_candidates=100)
    table = cost_table([("small", small), ("large", large)])
    assert table is not None
    cells = {name: [(cell.text, cell.best) for cell in own] for name, own in table.rows}
    assert cells["small"] == [("1,000", True), ("0.00", True), ("20", True), ("10", True), ("–", False)]
    assert cells["large"][0] == ("1,500,000", False) and cells["large"][4] == ("2.50", True)
    assert table.columns[4] == "rank 100 candidates, ms"


def test_the_cost_of_a_model_is_counted(tiny_prepared: Prepared) -> None:
    built = built_models.built("deepfm", tiny_prepared)
    found = cost.of_model(built, tiny_prepared, RunState(cpu_seconds=3.0, wall_seconds=2.0))
    weights = [variable.numpy() for variable in built.model.trainable_variables]
    assert found.parameters == sum(each.size for each in weights)
    assert found.variable_bytes == sum(variable.numpy().nbytes for variable in built.model.variables)
    assert (found.cpu_seconds, found.wall_seconds, found.rank_candidates) == (3.0, 2.0, 100)
    assert found.rank_milliseconds is not None and found.rank_milliseconds > 0
    assert cost.of_model(built, tiny_prepared, RunState()).cpu_seconds is None  # a run that did not count


def test_time_is_counted_on_over_resumes(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, cpu = iter([10.0, 13.0, 20.0, 21.0]), iter([1.0, 6.0, 2.0, 2.5])
    monkeypatch.setattr("pipeline.checkpoints.time.perf_counter", lambda: next(wall))
    monkeypatch.setattr("pipeline.checkpoints.time.process_time", lambda: next(cpu))
    state = RunState()
    Clock().count(state)
    assert (state.wall_seconds, state.cpu_seconds) == (3.0, 5.0)
    Clock().count(state)  # another process, later
    assert (state.wall_seconds, state.cpu_seconds) == (4.0, 5.5)


def test_compare_writes_one_page_with_everything(
    tmp_path: Path, tiny_prepared: Prepared, capsys: pytest.CaptureFixture
) -> None:
    where = ("--dataset", str(tiny_prepared.folder), "--runs", str(tmp_path / "runs"))
    for model in ("deepfm", "two_tower"):
        quick = ("--set", "training.epochs=2", "--set", "data.batch_size=512")
        assert signet("train", "--model", model, *quick, *where) == 0
        state = state_of(tmp_path / "runs" / "tiny" / model)
        assert state is not None and state.finished and state.cpu_seconds > 0
        assert [record["cpu_seconds"] for record in state.history] == sorted(r["cpu_seconds"] for r in state.history)
    said = refuses(capsys, "compare", "--model", "deepfm", "--base", "din", *where)
    assert "din" in said and "deepfm" in said
    # Both are trained, by other settings than those of the models' files: nothing is left to train.
    assert signet("compare", "--model", "deepfm", "--model", "two_tower", "--base", "popularity", *where) == 0
    saved = evaluations.load(tmp_path / "runs" / "tiny" / "evaluation_test.json")
    assert saved.base == POPULARITY and list(saved.differences) == ["deepfm", "two_tower"]
    assert all(saved.answers[model].cost and saved.answers[model].learning for model in ("deepfm", "two_tower"))
    learning = saved.answers["deepfm"].learning
    assert learning is not None and len(learning.loss) == len(learning.figure) == len(learning.cpu_seconds) == 2
    page = (tmp_path / "runs" / "tiny" / "evaluation_test.html").read_text(encoding="utf-8")
    text = "".join(_parsed(page).text)
    for heading in ("Differences", "Learning", "For whom", "Cost", "Loss by epoch", "Loss by processor time"):
        assert heading in text
    for ends in (saved.answers["deepfm"].intervals["auc"], saved.answers["two_tower"].intervals["full/hr@10"]):
        assert f"{ends[0]:.3f} to {ends[1]:.3f}" in text
