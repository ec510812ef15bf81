"""`signet experiment` from the console: trains what is missing, goes on where it stopped, and writes one page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import pytest
import yaml

from pipeline import training
from pipeline.baselines import registry as baselines
from pipeline.evaluation import evaluate
from pipeline.prepared import Prepared
from pipeline.studies import kept, library
from tests.test_console import refuses, signet
from tests.test_pipeline_report import _parsed

STUDY: Dict[str, Any] = {
    "title": "Widths <b>",
    "question": "How wide & why?",
    "seeds": [1, 2],
    "runs": {
        "narrow": {"model": "deepfm", "set": {"parameters.embedding_width": 4, "parameters.hidden_units": [8]}},
        "short": {"model": "deepfm", "set": {"history_length": 3, "parameters.hidden_units": [8]}},
    },
    "figures": ["auc", "hr@10", "full/hr@10", "click/log_loss"],
    "differences": [["short", "narrow"]],
    "goals": {"short": {"hr@10": 0.0}, "short - narrow": {"auc": 2.0}},
    "protocol": {"negatives": 20, "resamples": 50},
}
QUICK = ("--set", "training.epochs=1", "--set", "data.batch_size=512")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one study, whose runs are trained by the first test that asks."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "widths.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False), encoding="utf-8")
    return folder


def experiment(place: Path, prepared: Prepared, *more: str, reports: str = "again") -> int:
    where = ("--data", str(place / "data"), "--runs", str(place / "runs"), "--reports", str(place / reports))
    return signet("experiment", str(place / "widths.yaml"), "--dataset", str(prepared.folder), *where, *more)


@pytest.fixture(scope="module")
def report(place: Path, tiny_prepared: Prepared) -> Dict[str, Any]:
    """The study, run once."""
    assert experiment(place, tiny_prepared, *QUICK, reports="reports") == 0
    found: Dict[str, Any] = json.loads((place / "reports" / "widths.json").read_text(encoding="utf-8"))
    return found


def test_every_run_and_seed_has_its_folder_and_its_figures(report: Dict[str, Any], place: Path) -> None:
    folders = [path.parent for path in place.glob("runs/tiny/experiments/*/experiment.yaml")]
    assert len(folders) == 4 and all((folder / "answer_test.json").is_file() for folder in folders)
    assert list(report["runs"]) == ["narrow", "short"] and report["seeds"] == [1, 2]
    for run in report["runs"].values():
        assert list(run["figures"]) == STUDY["figures"]
        for figure in run["figures"].values():
            assert figure["mean"] == pytest.approx(np.mean(figure["seeds"]), rel=1e-5)
            assert figure["spread"] == pytest.approx(np.std(figure["seeds"], ddof=1), abs=1e-5)
            assert figure["interval"][0] <= figure["mean"] <= figure["interval"][1]
        assert run["cpu_seconds"] > 0 and run["wall_seconds"] > 0 and run["rank_milliseconds"] > 0
    assert report["runs"]["narrow"]["parameters"] < report["runs"]["short"]["parameters"]
    assert report["baselines"]["popularity"]["hr@10"] > 0


def draws(place: Path, figure: str) -> Dict[Tuple[int, Optional[int]], np.ndarray]:
    """{(seed, history_length): the figure in each resample}."""
    found = {}
    for path in place.glob("runs/tiny/experiments/*/experiment.yaml"):
        made = yaml.safe_load(path.read_text(encoding="utf-8"))
        with np.load(path.parent / "draws_test.npz") as file:
            found[made["seed"], made["history_length"]] = file[figure]
    return found


def test_a_difference_is_seed_by_seed_and_resample_by_resample(report: Dict[str, Any], place: Path) -> None:
    one, other = (report["runs"][name]["figures"]["auc"]["seeds"] for name in ("short", "narrow"))
    found = report["differences"]["short - narrow"]["auc"]
    assert found["seeds"] == pytest.approx([a - b for a, b in zip(one, other)], abs=1e-5)
    drawn = draws(place, "auc")
    differences = [drawn[seed, 3] - drawn[seed, None] for seed in (1, 2)]
    assert found["interval"] == pytest.approx(np.quantile(np.mean(differences, axis=0), [0.025, 0.975]), rel=1e-4)


def test_validation_alone_chooses(report: Dict[str, Any]) -> None:
    means = {name: run["validation"]["auc"]["mean"] for name, run in report["runs"].items()}
    assert report["chosen"] == max(means, key=lambda name: means[name])


def test_the_second_call_neither_trains_nor_evaluates(
    report: Dict[str, Any], place: Path, tiny_prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **named: Any) -> None:
        raise AssertionError("done before")

    for module, name in ((training, "train"), (training, "restore"), (evaluate, "answer"), (baselines, "load")):
        monkeypatch.setattr(module, name, refuse)
    assert experiment(place, tiny_prepared, *QUICK) == 0
    again = json.loads((place / "again" / "widths.json").read_text(encoding="utf-8"))
    assert {**again, "date": ""} == {**report, "date": ""}


def test_another_seed_trains_that_seed_alone_and_an_interrupted_study_goes_on(
    report: Dict[str, Any],
    place: Path,
    tiny_prepared: Prepared,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    train, trained = training.train, []

    def interrupted_in_the_second(experiment: Any, *arguments: Any) -> Any:
        trained.append((experiment.seed, experiment.history_length))
        done = train(experiment, *arguments)
        return training.Trained(done.built, done.state, done.run, interrupted=len(trained) == 2)

    monkeypatch.setattr(training, "train", interrupted_in_the_second)
    assert experiment(place, tiny_prepared, *QUICK, "--seeds", "2,3", reports="other") == 130
    assert trained == [(3, None), (3, 3)]  # seed 2 was there
    assert "the same command goes on" in capsys.readouterr().out and not (place / "other").exists()
    assert experiment(place, tiny_prepared, *QUICK, "--seeds", "2,3", reports="other") == 0
    assert len(trained) == 2  # it had been trained; only its evaluation was missing
    found = json.loads((place / "other" / "widths.json").read_text(encoding="utf-8"))
    assert found["seeds"] == [2, 3] and "--seeds 2,3" in found["command"]
    assert found["runs"]["short"]["figures"]["auc"]["seeds"][0] == report["runs"]["short"]["figures"]["auc"]["seeds"][1]


def test_the_page_needs_nothing_else_and_shows_the_figures(report: Dict[str, Any], place: Path) -> None:
    page = (place / "reports" / "widths.html").read_text(encoding="utf-8")
    found = _parsed(page)
    text = "".join(found.text)
    assert "http" not in page.lower() and "@import" not in page and "<script" not in page
    assert all(target.startswith("#") for target in found.targets)
    assert {target[1:] for target in found.targets} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    assert "Widths <b>" in text and "How wide & why?" in text and "<b>" not in page
    for run in report["runs"].values():
        for figure in STUDY["figures"]:
            assert f"{run['figures'][figure]['mean']:.4f}" in text
    for heading in ("Goals", "Differences", "Learning", "For whom", "Cost", "How this was measured"):
        assert heading in text
    assert report["command"] in text and "Synthetic data" in text


def test_goals_are_told_on_the_console(
    report: Dict[str, Any], place: Path, tiny_prepared: Prepared, capsys: pytest.CaptureFixture
) -> None:
    assert experiment(place, tiny_prepared, *QUICK) == 0
    said = capsys.readouterr().out
    assert "goal 0: reached" in said and "goal 2: not reached" in said and "hr@10" in said


def test_a_damaged_answer_is_asked_again(report: Dict[str, Any], place: Path, tiny_prepared: Prepared) -> None:
    folder = next(place.glob("runs/tiny/experiments/deepfm-*"))
    key = json.loads((folder / "answer_test.json").read_text(encoding="utf-8"))["key"]
    assert kept.load(folder, "test", key) is not None and kept.load(folder, "test", "other") is None
    draws = (folder / "draws_test.npz").read_bytes()
    (folder / "draws_test.npz").write_bytes(draws[: len(draws) // 2])
    assert kept.load(folder, "test", key) is None
    assert experiment(place, tiny_prepared, *QUICK) == 0
    if kept.load(folder, "test", key) is None:
        (folder / "draws_test.npz").write_bytes(draws)
        pytest.fail("the answer was not kept again")


def test_a_result_is_recorded_by_the_command(tmp_path: Path, tiny_prepared: Prepared) -> None:
    settings = {"training.epochs": 1, "data.batch_size": 512, "parameters.hidden_units": [8]}
    study = {
        "title": "One", "question": "What?", "dataset": str(tiny_prepared.folder), "seeds": [4], "figures": ["auc"],
        "runs": {"deepfm": {"model": "deepfm", "set": settings}}, "protocol": {"negatives": 10, "resamples": 20},
    }
    text = "# kept\n" + yaml.safe_dump(study)
    (tmp_path / "widths.yaml").write_text(text, encoding="utf-8")
    assert experiment(tmp_path, tiny_prepared, "--record") == 0
    assert (tmp_path / "widths.yaml").read_text(encoding="utf-8").startswith(text)
    recorded = library.find(str(tmp_path / "widths.yaml")).study
    reported = json.loads((tmp_path / "again" / "widths.json").read_text(encoding="utf-8"))
    assert recorded.result is not None and not recorded.outdated
    assert recorded.result.runs["deepfm"].figures["auc"].mean == reported["runs"]["deepfm"]["figures"]["auc"]["mean"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("absent",), ["absent", "quality"]),
        (("WIDTHS", "--seeds", "1,x"), ["1,x", "1,2,3"]),
        (("WIDTHS", "--seeds", "1,1"), ["1,1"]),
        (("WIDTHS", "--record", "--seeds", "1"), ["--record", "[1, 2]"]),
        (("WIDTHS", "--set", "training.epoch=1"), ["run 'narrow'", "epoch", "unknown"]),
        (("WIDTHS", "--set", "history_length=51", "--seeds", "9"), ["history_length is 51", "50", "--maximum-history"]),
        (("WIDTHS", "--dataset", "nowhere"), ["nowhere"]),
    ],
)
def test_a_mistake_is_one_sentence(
    arguments: List[str], words: List[str], place: Path, tiny_prepared: Prepared, capsys: pytest.CaptureFixture
) -> None:
    given = [str(place / "widths.yaml") if word == "WIDTHS" else word for word in arguments]
    data = [] if "--dataset" in given else ["--dataset", str(tiny_prepared.folder)]
    where = ["--data", str(place / "data"), "--runs", str(place / "runs")]
    said = refuses(capsys, "experiment", *given, *data, *where)
    assert [word for word in words if word not in said] == [], said


def test_a_task_that_no_data_has_is_told_before_training(
    tmp_path: Path, tiny_prepared: Prepared, capsys: pytest.CaptureFixture
) -> None:
    content = {**STUDY, "figures": ["buy/auc"], "goals": {}}
    (tmp_path / "widths.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    capsys.readouterr()
    assert experiment(tmp_path, tiny_prepared) == 2
    assert "figure 'buy/auc' is of no task of the data" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_without_a_name_all_are_listed(capsys: pytest.CaptureFixture) -> None:
    assert signet("experiment") == 0
    said = capsys.readouterr().out
    assert all(name in said for name in library.names())
