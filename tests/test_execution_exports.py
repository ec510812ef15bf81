"""The linter's second step on our own exports: all five clean, and each defect found that is planted into one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
import tensorflow as tf

from pipeline import export as exports
from pipeline import inference, saved_models
from pipeline.builder import Built
from pipeline.export import Figures
from pipeline.inference import InferenceSignature
from pipeline.models import registry
from pipeline.prepared import Prepared
from signatures.execution.checks import CODES
from signatures.execution.child import examine
from signatures.findings import Finding
from tests import built_models

Tensors = Dict[str, Any]
Answer = Callable[[Tensors, Callable[[Tensors], Tensors]], Tensors]


def written(built: Built, prepared: Prepared, folder: Path) -> Path:
    """Everything of an export, with its golden answers, before the gates."""
    return exports.write_candidate(built, prepared, Figures({"auc": 0.9}, {}), folder, folder / "home").folder


def run(folder: Path) -> List[Finding]:
    order = {"path": str(folder), "features": None, "training_only": [], "codes": sorted(CODES), "unsafe": False}
    return list(examine({**order, "seconds": 60.0}, lambda event: None))


@pytest.fixture(autouse=True)
def without_training_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no part of an export, and takes the most time."""
    monkeypatch.setattr(saved_models, "save_training_graph", lambda built, folder: None)


@pytest.mark.parametrize("model", registry.NAMES)
def test_our_exports_are_clean(model: str, tiny_prepared: Prepared, tmp_path: Path) -> None:
    assert run(written(built_models.built(model, tiny_prepared), tiny_prepared, tmp_path)) == []


@pytest.fixture(scope="module")
def deepfm(tiny_prepared: Prepared) -> Built:
    return built_models.built("deepfm", tiny_prepared)


@pytest.fixture
def planted(
    deepfm: Built, tiny_prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Answer], List[Finding]]:
    """Exports deepfm with another serving_default, and runs it. Its golden answers come from the model as trained."""

    def export(answer: Answer) -> List[Finding]:
        original = inference.signatures

        def changed(*arguments: Any) -> Any:
            return tuple(defective(s, answer) if s.name == "serving_default" else s for s in original(*arguments))

        monkeypatch.setattr(inference, "signatures", changed)
        return run(written(deepfm, tiny_prepared, tmp_path))

    return export


def defective(signature: InferenceSignature, answer: Answer) -> InferenceSignature:
    return replace(signature, function=lambda raw: answer(dict(raw), signature.function))


def score(change: Callable[[Tensors, Any], Any]) -> Answer:
    """The model's own score, changed."""
    return lambda raw, model: {"score": change(raw, model(raw)["score"])}


def without_age(raw: Tensors, model: Callable[[Tensors], Tensors]) -> Tensors:
    """The model sees everybody as thirty, and the age is multiplied by 0: it is still in the signature."""
    thirty = {**raw, "age": tf.fill(tf.shape(raw["age"]), 30.0)}
    return {"score": model(thirty)["score"] + 0.0 * tf.math.multiply_no_nan(raw["age"], 0.0)}


DEFECTS: Dict[str, Answer] = {
    "SIG701": score(lambda raw, z: z - tf.reduce_mean(z)),
    "SIG702": score(lambda raw, z: z + 1e-3 * tf.cast(tf.reduce_sum(raw["history"], -1), tf.float32)),
    "SIG703": score(lambda raw, z: z + tf.random.uniform(tf.shape(z)) * 1e-3),
    "SIG704": score(lambda raw, z: z + 0.001 * tf.math.log(raw["age"])),
    "SIG705": score(lambda raw, z: z + tf.gather(tf.range(500.0) * 1e-3, raw["user_id"])),
    "SIG706": score(lambda raw, z: tf.boolean_mask(z, z > 0.5)),
    "SIG707": without_age,
}
TENSORS = {"SIG705": "user_id", "SIG707": "age"}


@pytest.mark.parametrize("code", DEFECTS)
def test_planted_defect_is_found(code: str, planted: Callable[[Answer], List[Finding]]) -> None:
    """The golden answers are those of the model as it was, so that a defect also differs from them; noise is noise."""
    found = planted(DEFECTS[code])
    (named,) = [each for each in found if each.rule == code]
    assert (named.signature, named.tensor) == ("serving_default", TENSORS.get(code, "score"))
    assert named.severity == ("warning" if code in ("SIG704", "SIG707") else "error")
    others = {each.rule for each in found} - {code}
    assert others <= {"SIG708"}
    assert ("SIG708" in others) == (code != "SIG703")


def test_changed_golden_answer_and_lost_variables_are_found(
    deepfm: Built, tiny_prepared: Prepared, tmp_path: Path
) -> None:
    folder = written(deepfm, tiny_prepared, tmp_path)
    file = folder / "golden" / "rank.json"
    content = json.loads(file.read_text())
    content["outputs"]["score"][0][0] += 0.01
    file.write_text(json.dumps(content))
    (changed,) = run(folder)
    assert (changed.rule, changed.signature, changed.tensor) == ("SIG708", "rank", "score")
    (folder / "variables" / "variables.index").unlink()
    (lost,) = [each for each in run(folder) if each.signature in (None, "serving_default")]
    assert (lost.rule, lost.severity) == ("SIG709", "error")
