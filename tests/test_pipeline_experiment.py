"""Experiment files: what is read, what an override changes, and what is said of a mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Tuple

import pytest

from pipeline import experiment as experiments
from pipeline.models.registry import NAMES
from signatures.errors import UsageError


@pytest.mark.parametrize("model", NAMES)
def test_what_is_saved_is_read_back(model: str, tmp_path: Path) -> None:
    loaded = experiments.load(model, overrides=["training.epochs=3", "seed=7"])
    assert (loaded.training.epochs, loaded.seed) == (3, 7)
    experiments.save(loaded, tmp_path / "experiment.yaml")
    assert experiments.load(model, tmp_path / "experiment.yaml") == loaded


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.epochs", ("has no value", "training.epochs=3")),
        ("training.epochs=many", ("--set training.epochs=many", "training epochs is 'many'", "integer")),
        ("training.epochs=[1", ("training.epochs=[1", "no YAML")),
        ("training.epochz=3", ("training epochz is unknown", "spelling")),
        ("model.more=3", ("'model'", "no keys of its own")),
        ("parameters.widths=3", ("parameter", "widths", "parameters of deepfm")),
        ("model=din", ("'din'", "deepfm")),
    ],
)
def test_a_wrong_override_is_named_with_its_cure(override: str, words: Tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        experiments.load("deepfm", overrides=[override])
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)


@pytest.mark.parametrize("text", ["", "- 1", "{", "a: b: c"])
def test_a_file_that_is_no_experiment_is_said_to_be_none(text: str, tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="experiment.yaml"):
        experiments.load("deepfm", path)
