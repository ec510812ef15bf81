"""Study files: strict, all of ours valid, and a recorded result that answers what its file asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Tuple

import pytest
import yaml

from pipeline.studies import library, record, show
from pipeline.studies.form import Study
from pipeline.studies.jobs import Choices
from pipeline.studies.library import Found
from pipeline.studies.outcome import Result, RunResult, Spread, spread
from signatures.errors import UsageError

STUDY: Dict[str, Any] = {
    "title": "Widths",
    "question": "How wide?",
    "dataset": "synthetic",
    "seeds": [1, 2],
    "runs": {
        "narrow": {"model": "deepfm", "set": {"parameters.embedding_width": 4}},
        "wide": {"model": "deepfm", "set": {"parameters.embedding_width": 8}},
    },
    "figures": ["auc", "hr@10", "like/log_loss"],
    "differences": [["wide", "narrow"]],
    "goals": {"wide": {"auc": 0.6, "like/log_loss": 0.5}, "wide - narrow": {"hr@10": 0.0}},
}


def found(content: Dict[str, Any], folder: Path) -> Found:
    path = folder / "widths.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return library.find(str(path))


@pytest.mark.parametrize("name", library.names())
def test_every_file_is_valid_down_to_each_model(name: str) -> None:
    study = library.find(name)
    for run in study.study.runs:
        for seed in study.study.seeds:
            assert library.experiment(study, run, seed, []).seed == seed


@pytest.mark.parametrize("name", library.names())
def test_a_recorded_result_answers_what_its_file_asks(name: str) -> None:
    study = library.find(name).study
    assert not study.outdated
    if study.result is not None:
        assert study.result.command == f"signet experiment {name}"
        figures = [figure for run in study.result.runs.values() for figure in run.figures.values()]
        assert all(len(figure.seeds) == len(study.seeds) for figure in figures)


@pytest.mark.parametrize(
    "change",
    [
        {"runs": {"wide": STUDY["runs"]["wide"]}, "differences": [], "goals": {}},
        {"seeds": [1, 2, 3]},
        {"figures": ["auc", "hr@10", "like/log_loss", "mrr"]},
        {"differences": [["narrow", "wide"]], "goals": {}},
    ],
)
def test_a_result_of_another_form_of_the_file_is_told(change: Dict[str, Any]) -> None:
    recorded = {"result": result().model_dump()}
    assert not Study.model_validate({**STUDY, **recorded}).outdated
    changed = Study.model_validate({**STUDY, **change, **recorded})
    assert changed.outdated and show.brief(changed)[1].endswith("(of an earlier form of the file)")


def test_a_file_of_one_model_is_a_study_of_one_run() -> None:
    study = library.find("din").study
    assert list(study.runs) == ["din"] and study.seeds == (1, 2, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"runz": {}}, ("runz is unknown", "spelling")),
        ({"title": None}, ("title",)),
        ({"runs": {}}, ("runs",)),
        ({"runs": {"a": {"model": "dln"}}}, ("dln", "choose one of", "din")),
        ({"runs": {"a": {"model": "din", "sett": {}}}}, ("sett is unknown",)),
        ({"runs": {"a": {"model": "din", "set": {"seed": 3}}}}, ("'seed' cannot be set here",)),
        ({"runs": {"popularity": {"model": "din"}}}, ("popularity", "rename")),
        ({"seeds": []}, ("seeds",)),
        ({"seeds": [1, 1]}, ("seeds are [1, 1]",)),
        ({"seeds": [-1]}, ("seeds are [-1]",)),
        ({"seeds": ["one"]}, ("'one'",)),
        ({"baselines": ["fashion"]}, ("fashion", "popularity")),
        ({"figures": ["hr10"]}, ("hr10", "hr@10")),
        ({"figures": ["hr@0"]}, ("hr@0",)),
        ({"chosen_by": "best"}, ("best",)),
        ({"differences": [["wide", "wider"]]}, ("wider", "narrow")),
        ({"goals": {"wider": {"auc": 1.0}}}, ("wider",)),
        ({"goals": {"wide": {"mrr": 1.0}}}, ("mrr", "auc, hr@10")),
        ({"protocol": {"negatives": 0}}, ("negatives", "0")),
        ({"prepare": {"maximum_histories": 3}}, ("maximum_histories is unknown",)),
    ],
)
def test_a_mistake_is_named_with_its_cure(change: Dict[str, Any], words: Tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        found({**STUDY, "goals": {}, "differences": [], **change}, tmp_path)
    said = str(caught.value)
    assert "widths.yaml" in said and [word for word in words if word not in said] == [], said


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"parameters.embedding_widht": 4}, ("embedding_widht", "embedding_width")),
        ({"training.epochs": 0}, ("epochs", "0")),
        ({"training.epochs.more": 1}, ("'epochs' has no keys of its own",)),
    ],
)
def test_a_wrong_override_names_the_run(settings: Dict[str, Any], words: Tuple[str, ...], tmp_path: Path) -> None:
    study = found({**STUDY, "runs": {"narrow": {"model": "deepfm", "set": settings}}, "goals": {}, "differences": []},
                  tmp_path)
    with pytest.raises(UsageError) as caught:
        library.experiment(study, "narrow", 1, [])
    assert [word for word in ("run 'narrow'", *words) if word not in str(caught.value)] == [], str(caught.value)


def test_the_command_line_is_above_the_file_and_the_seed_above_both(tmp_path: Path) -> None:
    study = found(STUDY, tmp_path)
    made = library.experiment(study, "wide", 7, ["parameters.embedding_width=16", "training.epochs=1"])
    assert (made.parameters["embedding_width"], made.training.epochs, made.seed) == (16, 1, 7)


def test_a_run_may_have_a_file_beside_the_study(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("model: deepfm\ntasks: [like]\n", encoding="utf-8")
    study = found({**STUDY, "runs": {"mine": {"model": "deepfm", "file": "mine.yaml"}}, "goals": {},
                   "differences": []}, tmp_path)
    assert library.experiment(study, "mine", 1, []).tasks == ("like",)


def test_an_unknown_name_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="experiment 'dim' is unknown; choose one of .*din.*quality"):
        library.find("dim")


def test_the_figures_decide_what_is_asked(tmp_path: Path) -> None:
    assert not Study.model_validate(STUDY).asked.full_ranking
    asked = Study.model_validate({**STUDY, "figures": ["full/hr@100", "auc"], "goals": {}}).asked
    assert asked.full_ranking and asked.ks == (1, 5, 10, 20, 50, 100)


def result(**changes: Any) -> Result:
    """Two runs over two seeds."""
    runs = {}
    for name, auc, validation in (("narrow", 0.7, 0.9), ("wide", 0.6, 0.8)):
        figures = {"auc": spread([auc, auc + 0.02], (auc - 0.1, auc + 0.1)), "hr@10": spread([0.25, 0.25])}
        figures["like/log_loss"] = spread([0.4, 0.44])
        runs[name] = RunResult(
            figures=figures, validation={"auc": spread([validation])}, parameters=10, variable_bytes=40,
            cpu_seconds=60.0, wall_seconds=50.0,
        )
    content: Dict[str, Any] = {
        "command": "signet experiment widths", "date": "2025-01-31", "versions": {"signet": "0.1.0"},
        "machine": "2 cores", "data": {"synthetic": "f00"}, "lists": {"synthetic": "abc"}, "seeds": (1, 2),
        "cpu_seconds": 240.0, "wall_minutes": 4.0, "chosen": "narrow", "runs": runs,
        "differences": {"wide - narrow": {"hr@10": spread([0.0, 0.0], (-0.1, 0.1))}},
    }
    return Result(**{**content, **changes})


def test_spread_by_hand() -> None:
    # Mean 0.5; squares 0.01 and 0.01, over n - 1 = 1: the root of 0.02.
    assert spread([0.4, 0.6]) == Spread(mean=0.5, spread=0.141421, seeds=(0.4, 0.6))
    assert spread([0.7]).spread == 0.0


def test_goals_by_hand() -> None:
    said = dict(show.goals(Study.model_validate(STUDY), result()))
    # 0.61 against 0.6; a loss of 0.42 is below 0.5; the difference is exactly what it should be at least.
    assert list(said.values()) == [True, True, True]
    stricter = Study.model_validate({**STUDY, "goals": {"wide": {"auc": 0.62, "like/log_loss": 0.41}}})
    assert show.goals(stricter, result()) == [
        ("wide: auc 0.6100, goal 0.62: not reached", False),
        ("wide: like/log_loss 0.4200, goal 0.41: not reached", False),
    ]


def test_a_result_is_recorded_read_back_and_recorded_again(tmp_path: Path) -> None:
    path = tmp_path / "widths.yaml"
    written = "# why this study\n" + yaml.safe_dump(STUDY, sort_keys=False) + "\n# the last word\n"
    path.write_text(written, encoding="utf-8")
    record.write(library.find(str(path)), result())
    text = path.read_text(encoding="utf-8")
    assert text.startswith(written)
    assert library.find(str(path)).study.result == result()
    record.write(library.find(str(path)), result(cpu_seconds=1.0))
    again = path.read_text(encoding="utf-8")
    assert again.startswith(written) and again.count("result:") == 1
    study = library.find(str(path)).study
    assert study.result == result(cpu_seconds=1.0) and study.model_copy(update={"result": None}) == Study(**STUDY)
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_recorded_over_what_stands_behind(tmp_path: Path) -> None:
    path = tmp_path / "widths.yaml"
    record.write(found(STUDY, tmp_path), result())
    path.write_text(path.read_text(encoding="utf-8") + "baselines: [popularity]\n", encoding="utf-8")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="result must be the last key"):
        record.write(library.find(str(path)), result())
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        (Choices((1, 2), overrides=("training.epochs=1",)), "--set"),
        (Choices((1,)), r"own seeds \[1, 2\]"),
        (Choices((1, 2), dataset="ml-1m"), "own data set 'synthetic'"),
    ],
)
def test_what_the_file_does_not_ask_is_not_recorded(choices: Choices, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        record.check(found(STUDY, tmp_path), choices)


def test_the_list_shows_time_and_the_chosen_run() -> None:
    study = Study.model_validate(STUDY).model_copy(update={"result": result()})
    assert show.brief(study) == ("4", "narrow: auc 0.7100 ± 0.0141")
    assert show.brief(Study.model_validate(STUDY)) == ("", "")
