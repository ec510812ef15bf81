"""Exports are gated and atomic. Each gate is shown the defect it is for, and nothing may then be published."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import pytest
import tensorflow as tf

from pipeline import export as exports
from pipeline import inference, requests, saved_models, warm_up
from pipeline.builder import Built
from pipeline.export import Figures, Outcome, export, versions
from pipeline.inference import InferenceSignature
from pipeline.prepared import Prepared
from pipeline.retrieval.top_k import padded
from signatures import manifest as manifests
from signatures.errors import UsageError
from signatures.lint import lint
from tests import built_models

GOOD = Figures({"auc": 0.9}, {"auc": 0.8})
Change = Callable[[InferenceSignature], InferenceSignature]


@pytest.fixture(scope="module")
def built(tiny_prepared: Prepared) -> Built:
    return built_models.built("deepfm", tiny_prepared)


@pytest.fixture(scope="module")
def two_tower(tiny_prepared: Prepared) -> Built:
    return built_models.built("two_tower", tiny_prepared)


def change(monkeypatch: pytest.MonkeyPatch, name: str, changed: Change) -> None:
    """Plants a defect in one signature."""
    original = inference.signatures

    def planted(*arguments: Any) -> Any:
        return tuple(changed(s) if s.name == name else s for s in original(*arguments))

    monkeypatch.setattr(inference, "signatures", planted)


def answering(function: Callable[[Dict[str, tf.Tensor], Dict[str, tf.Tensor]], Dict[str, tf.Tensor]]) -> Change:
    """A signature whose answers go through `function(raw, answers)`."""
    return lambda s: replace(s, function=lambda raw: function(dict(raw), s.function(raw)))


def refused(outcome: Outcome, home: Path) -> List[str]:
    """The gates that failed, when nothing was published and nothing left behind."""
    assert outcome.version is None
    assert not versions(home)
    assert not list(home.parent.glob(".work-*"))
    return [gate.name for gate in outcome.gates if not gate.passed]


def says(outcome: Outcome, name: str) -> str:
    return next(gate.detail for gate in outcome.gates if gate.name == name)


def test_a_good_model_is_published_whole(built: Built, tiny_prepared: Prepared, tmp_path: Path) -> None:
    outcome = export(built, tiny_prepared, GOOD, tmp_path)
    assert [gate.name for gate in outcome.gates if not gate.passed] == []
    assert outcome.version == tmp_path / "deepfm" / "1"
    files = {str(path.relative_to(outcome.version)) for path in outcome.version.rglob("*") if path.is_file()}
    assert {"saved_model.pb", "assets.extra/signet.json", "assets.extra/tf_serving_warmup_requests"} <= files
    assert {"golden/rank.json", "golden/rank_items.json", "golden/serving_default.json", "assets/item_id.txt"} <= files
    manifest = manifests.read(outcome.version)
    assert manifest is not None and manifest.version == 1 and manifest.data.synthetic
    assert len(manifest.gates) == len(outcome.gates) == 10
    assert {"click", "like", "next_item", "like_mask", "weight"} == set(manifest.training_only)
    assert not [finding for finding in lint(outcome.version) if finding.severity != "info"]
    assert not list(tmp_path.glob(".work-*"))


def test_the_next_export_is_the_next_version(built: Built, tiny_prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "deepfm" / "7").mkdir(parents=True)
    (tmp_path / "deepfm" / "7" / "in_the_way").touch()
    folder = tmp_path / "candidate"
    folder.mkdir()
    assert exports.publish(folder, tmp_path / "deepfm") == tmp_path / "deepfm" / "8"


def test_nothing_of_training_is_in_the_file(two_tower: Built, tiny_prepared: Prepared, tmp_path: Path) -> None:
    version = export(two_tower, tiny_prepared, GOOD, tmp_path).version
    assert version is not None
    names = [name for name, _ in tf.train.list_variables(str(version / "variables" / "variables"))]
    shapes = [shape for _, shape in tf.train.list_variables(str(version / "variables" / "variables"))]
    assert not [n for n in names if "optimizer" in n or "frequency" in n or "generator" in n.lower()]
    sizes = sum(int(np.prod(shape)) for shape in shapes)
    used = sum(int(np.prod(v.shape)) for v in two_tower.model.trainable_variables)
    items = len(tiny_prepared_ids(tiny_prepared))
    width = inference.width_of(two_tower)
    # The catalogue: ids, keys and vectors, the vectors in whole blocks; for rank_items, keys and vectors again.
    assert sizes <= used + items * 2 + padded(items) * width + items + (items + 2) * width + 8


def tiny_prepared_ids(prepared: Prepared) -> np.ndarray:
    from pipeline.items import load

    return load(prepared).ids


def test_golden_answers_are_the_models(built: Built, tiny_prepared: Prepared, tmp_path: Path) -> None:
    version = export(built, tiny_prepared, GOOD, tmp_path).version
    assert version is not None
    golden = json.loads((version / "golden" / "serving_default.json").read_text())
    encoded = built.encoder({k: tf.constant(v, tf.as_dtype(dtype_of(version, k))) for k, v in golden["inputs"].items()})
    np.testing.assert_allclose(golden["outputs"]["score"], tf.sigmoid(built.model(encoded)["click"]), atol=1e-6)


def dtype_of(version: Path, name: str) -> str:
    manifest = manifests.read(version)
    assert manifest is not None
    return manifest.signatures["serving_default"].inputs[name].dtype


def test_lint_refuses_a_training_mask(
    built: Built, tiny_prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = inference.inputs_of(built.schema.columns())["age"]

    def masked(signature: InferenceSignature) -> InferenceSignature:
        return replace(
            signature,
            inputs={**signature.inputs, "like_mask": mask},
            function=lambda raw: {"score": signature.function(raw)["score"] * raw["like_mask"]},
        )

    change(monkeypatch, "serving_default", masked)
    request = requests.request
    monkeypatch.setattr(
        requests,
        "request",
        lambda s, b, rows, items: {**request(s, b, rows, items), "like_mask": np.ones(len(rows["age"]), np.float32)},
    )
    monkeypatch.setattr(exports, "expected_answers", lambda b, s, rows: {})
    outcome = export(built, tiny_prepared, GOOD, tmp_path)
    assert "lint" in refused(outcome, tmp_path / "deepfm")
    assert "like_mask" in says(outcome, "lint")


def test_lint_refuses_a_host_callback(
    built: Built, tiny_prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_the_host(raw: Dict[str, tf.Tensor], answers: Dict[str, tf.Tensor]) -> Dict[str, tf.Tensor]:
        score = tf.numpy_function(lambda x: x, [answers["score"]], tf.float32)
        return {"score": tf.ensure_shape(score, [None])}

    change(monkeypatch, "serving_default", answering(on_the_host))
    outcome = export(built, tiny_prepared, GOOD, tmp_path)
    assert "lint" in refused(outcome, tmp_path / "deepfm")


def test_purity_refuses_a_label_in_a_prediction(
    built: Built, tiny_prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: List[Dict[str, tf.Tensor]] = []
    labels, answers = saved_models._labels, inference.answers

    def look(made: Built, raw: Any) -> Any:
        seen.append(raw)
        return labels(made, raw)

    def leak(made: Built, logits: Any) -> Any:
        return {name: score + 0.1 * seen[-1]["click"] for name, score in answers(made, logits).items()}

    monkeypatch.setattr(saved_models, "_labels", look)
    monkeypatch.setattr(saved_models, "answers", leak)
    outcome = export(built, tiny_prepared, GOOD, tmp_path)
    assert refused(outcome, tmp_path / "deepfm") == ["purity"]
    assert "labels/click" in says(outcome, "purity")


def test_diff_refuses_what_breaks_clients(tiny_prepared: Prepared, built: Built, tmp_path: Path) -> None:
    assert export(built, tiny_prepared, GOOD, tmp_path).version is not None
    fewer = built.experiment.model_copy(update={"features": ("user_id", "item_id", "history")})
    other = exports_of(fewer, tiny_prepared)
    outcome = export(other, tiny_prepared, GOOD, tmp_path)
    assert outcome.version is None and [p.name for p in versions(tmp_path / "deepfm")] == ["1"]
    assert [gate.name for gate in outcome.gates if not gate.passed] == ["diff"]
    assert "age" in says(outcome, "diff")
    allowed = export(other, tiny_prepared, GOOD, tmp_path, allow_breaking=True)
    assert allowed.version == tmp_path / "deepfm" / "2"
    assert "allowed" in says(allowed, "diff")


def exports_of(experiment: Any, prepared: Prepared) -> Built:
    from pipeline.builder import build

    made = build(experiment, prepared)
    made.graph.prepare(built_models.batch(made, prepared))
    return made


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        (Figures({"auc": 0.79}, {"auc": 0.8}), "popularity"),
        (Figures({"auc": 0.4}, {}), "gates.minimum"),
        (Figures({"auc": float("nan")}, {"auc": 0.8}), "nan"),
        (Figures({}, {"auc": 0.8}), "nan"),
    ],
)
def test_metric_refuses_a_model_that_is_not_good_enough(
    figures: Figures, why: str, built: Built, tiny_prepared: Prepared, tmp_path: Path
) -> None:
    outcome = export(built, tiny_prepared, figures, tmp_path)
    assert refused(outcome, tmp_path / "deepfm") == ["metric"]
    assert why in says(outcome, "metric")


def test_parity_refuses_variables_that_are_not_the_trained_ones(
    built: Built, tiny_prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = saved_models.save

    def save_another(*arguments: Any) -> None:
        built.model.bias.assign_add(0.01)
        try:
            save(*arguments)
        finally:
            built.model.bias.assign_sub(0.01)

    monkeypatch.setattr(saved_models, "save", save_another)
    assert refused(export(built, tiny_prepared, GOOD, tmp_path), tmp_path / "deepfm") == ["parity"]


def test_batch_invariance_refuses_a_score_that_depends_on_strangers(
    built: Built, tiny_prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    centred = answering(lambda raw, answers: {"score": answers["score"] - tf.reduce_mean(answers["score"])})
    change(monkeypatch, "serving_default", centred)
    assert "batch invariance" in refused(export(built, tiny_prepared, GOOD, tmp_path), tmp_path / "deepfm")


def test_padding_invariance_refuses_a_sum_over_padding(
    built: Built, tiny_prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def summed(raw: Dict[str, tf.Tensor], answers: Dict[str, tf.Tensor]) -> Dict[str, tf.Tensor]:
        return {"score": answers["score"] + 1e-3 * tf.cast(tf.reduce_sum(raw["history"], -1), tf.float32)}

    change(monkeypatch, "serving_default", answering(summed))
    assert "padding invariance" in refused(export(built, tiny_prepared, GOOD, tmp_path), tmp_path / "deepfm")


def test_rank_refuses_another_order_than_pointwise(
    built: Built, tiny_prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(monkeypatch, "rank", answering(lambda raw, answers: {"score": 1.0 - answers["score"]}))
    assert "rank" in refused(export(built, tiny_prepared, GOOD, tmp_path), tmp_path / "deepfm")


def test_rank_refuses_held_items_that_are_not_the_catalogue_s(
    built: Built, tiny_prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One item's place is another's: consistent in itself, so only the comparison with `serving_default` sees it."""
    change(
        monkeypatch, "rank_items", answering(lambda raw, answers: {"score": tf.roll(answers["score"], 1, axis=1)})
    )
    outcome = export(built, tiny_prepared, GOOD, tmp_path)
    assert refused(outcome, tmp_path / "deepfm") == ["rank"]
    assert says(outcome, "rank").startswith("rank_items: output score differs")


@pytest.mark.parametrize("content", [b"", b"garbage that is no record"])
def test_warm_up_refuses_records_that_do_not_replay(
    content: bytes, built: Built, tiny_prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_up, "write", lambda folder, m, r: (folder / warm_up.PATH_IN_EXPORT).write_bytes(content))
    assert refused(export(built, tiny_prepared, GOOD, tmp_path), tmp_path / "deepfm") == ["warm-up"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        tf.errors.ResourceExhaustedError(None, None, "No space left on device"),
    ],
)
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    error: Exception, built: Built, tiny_prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise error

    monkeypatch.setattr(saved_models, "save", full)
    with pytest.raises(UsageError, match="cannot be written.*No space left.*--exports"):
        export(built, tiny_prepared, GOOD, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_one_sentence(built: Built, tiny_prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written.*--exports"):
        export(built, tiny_prepared, GOOD, tmp_path / "file" / "exports")


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_no_half_version(tiny_prepared: Prepared, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tiny_prepared.folder), str(tmp_path)]
    for seconds in (0.0, 0.6, 1.5):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob(".work-*")) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for version in versions(tmp_path / "deepfm"):
            manifest = manifests.read(version)
            assert manifest is not None and all(gate.passed for gate in manifest.gates) and manifest.gates
            assert (version / "variables" / "variables.index").is_file()
        for left in tmp_path.glob(".work-*"):
            os.rename(left, tmp_path.parent / f"left-{seconds}")


KILLED = """
import sys
from pathlib import Path
from pipeline import prepared
from pipeline.export import Figures, export
from tests import built_models
data = prepared.load(Path(sys.argv[1]))
export(built_models.built("deepfm", data), data, Figures({"auc": 0.9}, {}), Path(sys.argv[2]))
"""
