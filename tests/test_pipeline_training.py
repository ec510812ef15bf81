"""The loop: resumes to the same result, stops when asked and when nothing gains, keeps the best."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
import tensorflow as tf
import yaml

from pipeline import experiment as experiments
from pipeline import training, verbs
from pipeline.builder import Built
from pipeline.checkpoints import Checkpoints
from pipeline.prepared import Prepared
from signatures.errors import UsageError

SETTINGS = ("training.epochs=3", "training.checkpoint_batches=5", "data.batch_size=256")


def experiment(model: str = "sasrec", *more: str) -> experiments.Experiment:
    return experiments.load(model, overrides=(*SETTINGS, *more))


def run(made: experiments.Experiment, prepared: Prepared, folder: Path, **options: Any) -> training.Trained:
    return training.train(made, prepared, folder, lambda built: verbs.validator(built, prepared), **options)


def parameters(built: Built) -> List[np.ndarray]:
    return [variable.numpy() for variable in built.model.variables]


def scripted(figures: List[float]) -> Any:
    """A validator that reads these figures out, one an epoch."""
    told = iter(figures)
    return lambda built: lambda: {"auc": next(told)}


class Killed(BaseException):
    """No handler catches this; it stands for a power cut."""


@pytest.mark.parametrize(("model", "updates"), [("sasrec", "dense"), ("deepfm", "dense"), ("din", "lazy")])
def test_a_killed_run_ends_where_an_undisturbed_one_does(
    model: str, updates: str, tiny_prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Dropout and, in sasrec, negatives drawn in the graph: both random states must come back.
    settings = ["training.checkpoint_batches=2", "data.batch_size=64", f"training.embedding_updates={updates}"]
    made = experiment(model, *settings)
    whole = run(made, tiny_prepared, tmp_path / "whole")
    save, calls = Checkpoints.save, []

    def save_then_die(self: Checkpoints, kind: str, state: Any) -> Path:
        place = save(self, kind, state)
        calls.append((kind, state.epoch, state.batch))
        if kind == "last" and state.epoch == 1 and state.batch > 0:
            raise Killed
        return place

    monkeypatch.setattr(Checkpoints, "save", save_then_die)
    with pytest.raises(Killed):
        run(made, tiny_prepared, tmp_path / "killed")
    monkeypatch.setattr(Checkpoints, "save", save)
    assert calls[-1][2] > 0  # it died inside an epoch, not between two
    resumed = run(made, tiny_prepared, tmp_path / "killed")
    for one, other in zip(parameters(whole.built), parameters(resumed.built)):
        np.testing.assert_array_equal(one, other)
    assert [r["auc"] for r in whole.state.history] == [r["auc"] for r in resumed.state.history]


def test_two_seeds_differ(tiny_prepared: Prepared, tmp_path: Path) -> None:
    one, other = (
        run(experiment("deepfm", "training.epochs=1", f"seed={seed}"), tiny_prepared, tmp_path / str(seed))
        for seed in (1, 2)
    )
    assert not np.allclose(parameters(one.built)[0], parameters(other.built)[0])


def test_a_finished_run_is_not_trained_again(tiny_prepared: Prepared, tmp_path: Path) -> None:
    made = experiment("deepfm", "training.epochs=1")
    first = run(made, tiny_prepared, tmp_path / "run")
    again = training.train(made, tiny_prepared, tmp_path / "run", scripted([]))
    np.testing.assert_array_equal(parameters(first.built)[0], parameters(again.built)[0])


def test_it_stops_without_gain_and_keeps_the_best(tiny_prepared: Prepared, tmp_path: Path) -> None:
    made = experiment(
        "deepfm",
        "training.epochs=9",
        "training.patience=2",
        "training.plateau_patience=1",
        "training.plateau_factor=0.5",
    )
    trained = training.train(made, tiny_prepared, tmp_path, scripted([0.5, 0.7, 0.6, 0.65, 0.9]))
    assert (trained.state.epoch, trained.state.best_epoch, trained.state.best) == (4, 2, 0.7)
    rates = [record["learning_rate"] for record in trained.state.history]
    # It halves after each epoch without gain: epochs 1 to 3 at the full rate, the fourth at half.
    assert rates == pytest.approx([rates[0], rates[0], rates[0], rates[0] / 2])


def test_the_best_epoch_is_what_is_restored(tiny_prepared: Prepared, tmp_path: Path) -> None:
    made = experiment("deepfm", "training.epochs=2")
    kept: Dict[int, np.ndarray] = {}

    def validator(built: Built) -> Any:
        def validate() -> Dict[str, float]:
            kept[len(kept)] = parameters(built)[0].copy()
            return {"auc": [0.9, 0.1][len(kept) - 1]}

        return validate

    training.train(made, tiny_prepared, tmp_path, validator)
    restored = training.restore(made, tiny_prepared, tmp_path)
    np.testing.assert_array_equal(parameters(restored)[0], kept[0])


def test_another_configuration_does_not_take_a_run_over(tiny_prepared: Prepared, tmp_path: Path) -> None:
    run(experiment("deepfm", "training.epochs=1"), tiny_prepared, tmp_path / "run")
    other = experiment("deepfm", "training.epochs=1", "training.learning_rate=0.5")
    with pytest.raises(UsageError, match="another configuration.*--restart"):
        run(other, tiny_prepared, tmp_path / "run")
    run(other, tiny_prepared, tmp_path / "run", restart=True)


def test_a_damaged_checkpoint_is_said_to_be_one(tiny_prepared: Prepared, tmp_path: Path) -> None:
    made = experiment("deepfm", "training.epochs=1")
    run(made, tiny_prepared, tmp_path)
    for path in (tmp_path / "checkpoints").glob("best-*/variables.data*"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UsageError, match="damaged.*--restart"):
        training.restore(made, tiny_prepared, tmp_path)


def test_a_disk_that_fills_up_is_one_sentence_and_the_run_goes_on_later(
    tiny_prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = experiment("deepfm")
    write = tf.train.Checkpoint.write
    written: List[str] = []

    def filling_up(self: tf.train.Checkpoint, path: str) -> str:
        if len(written) == 3:
            Path(path + ".data").write_text("half")
            raise tf.errors.ResourceExhaustedError(
                None, None, f"{{{{node SaveV2}}}} {path}.data; No space left on device [Op:SaveV2]"
            )
        written.append(path)
        return write(self, path)

    with monkeypatch.context() as patched:
        patched.setattr(tf.train.Checkpoint, "write", filling_up)
        expected = rf"run {re.escape(str(tmp_path))} cannot be written \(No space left on device\).*--runs"
        with pytest.raises(UsageError, match=expected):
            run(made, tiny_prepared, tmp_path)
    assert not list(tmp_path.rglob(".work-*")) and list(tmp_path.rglob("last-*/state.json"))
    assert run(made, tiny_prepared, tmp_path).state.epoch == 3


def test_a_runs_folder_that_is_a_file_is_one_sentence(tiny_prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(UsageError, match="run .*cannot be written.*--runs"):
        run(experiment("deepfm"), tiny_prepared, tmp_path / "runs" / "deepfm")


def test_a_loss_that_is_nan_ends_the_run_with_a_sentence(tiny_prepared: Prepared, tmp_path: Path) -> None:
    made = experiment("deepfm", "training.epochs=2", "training.learning_rate=1e30")
    with pytest.raises(UsageError, match="lower training.learning_rate"):
        run(made, tiny_prepared, tmp_path)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize(("accumulate", "updates"), [(1, "dense"), (2, "dense"), (1, "lazy"), (2, "lazy")])
def test_precision_and_accumulation_train(
    precision: str, accumulate: int, updates: str, tiny_prepared: Prepared, tmp_path: Path
) -> None:
    settings = ["training.epochs=1", f"training.precision={precision}", f"training.accumulate={accumulate}"]
    settings.append(f"training.embedding_updates={updates}")
    trained = run(experiment("din", *settings, "training.clip_norm=5"), tiny_prepared, tmp_path)
    assert np.isfinite(trained.state.history[-1]["loss"])


def test_ctrl_c_leaves_a_checkpoint_that_the_same_command_goes_on_from(tiny_prepared: Prepared, tmp_path: Path) -> None:
    settings = ["--set", "training.epochs=400", "--set", "training.patience=400"]
    command = [
        sys.executable,
        "-m",
        "pipeline.entry",
        "train",
        "--model",
        "deepfm",
        "--dataset",
        str(tiny_prepared.folder),
    ]
    runs = tmp_path / "runs"
    process = subprocess.Popen([*command, *settings, "--runs", str(runs)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(runs.rglob("best-*/state.json")) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "goes on" in said and "Traceback" not in said
    found = next(runs.rglob("last-*"))
    assert (found / "state.json").is_file() and not list(runs.rglob(".work-*"))
    description = yaml.safe_load((found.parent.parent / "experiment.yaml").read_text())
    assert description["training"]["epochs"] == 400
    made = experiments.load("deepfm", found.parent.parent / "experiment.yaml")
    assert training.restore(made, tiny_prepared, found.parent.parent).model.variables
