"""The training graphs of all five models: proven pure on the file, and seen to be so by their values."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Set

import numpy as np
import pytest
import tensorflow as tf

from pipeline import inference, requests, saved_models, wire
from pipeline.builder import Built
from pipeline.models import registry
from pipeline.prepared import Prepared
from pipeline.saved_models import save_training_graph, training_inputs
from signatures.declaration import PREDICTION_PREFIX, TRAINING_PREFIXES
from signatures.lint import open_export
from signatures.purity import prove
from tests import built_models


@pytest.fixture(scope="module", params=registry.NAMES)
def built(request: pytest.FixtureRequest, tiny_prepared: Prepared) -> Built:
    return built_models.built(request.param, tiny_prepared)


@pytest.fixture(scope="module")
def graph(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training") / built.experiment.model
    save_training_graph(built, folder)
    return folder


def declared(built: Built) -> Set[str]:
    """Every label, mask and weight of the model's schema, as the training graph names it."""
    found = {f"{group}/{name}" for group, inputs in training_inputs(built).items() for name in inputs}
    return {name for name in found if name.startswith(TRAINING_PREFIXES)}


def test_graph_is_proven_and_the_proof_is_about_something(built: Built, graph: Path) -> None:
    """No finding; and the tracer has seen all that is declared in the loss, and features in every prediction."""
    assert prove(graph) == []
    (signature,) = open_export(graph).training()
    export = open_export(graph)
    reached = {output: export.trace(signature.name).inputs(output) for output in signature.outputs}
    assert declared(built) and declared(built) <= reached["loss"]
    predictions = [output for output in reached if output.startswith(PREDICTION_PREFIX)]
    assert len(predictions) == max(len(built.schema.tasks), 1) or predictions == ["predictions/score"]
    for output in predictions:
        assert reached[output] and all(name.startswith("features/") for name in reached[output])


def test_values_agree_with_the_proof(built: Built, graph: Path, tiny_prepared: Prepared) -> None:
    """Whatever labels, masks and weights are, predictions stay to the last bit; and the loss follows each of them."""
    call = tf.saved_model.load(str(graph)).signatures["serving_default"]
    request = batch(built, tiny_prepared)
    before = {name: cells.numpy() for name, cells in call(**request).items()}
    for name in sorted(declared(built)):
        other = other_values(request[name])
        after = {output: cells.numpy() for output, cells in call(**{**request, name: other}).items()}
        assert after["loss"] != before["loss"], name
        for output in set(before) - {"loss"}:
            np.testing.assert_array_equal(after[output], before[output], err_msg=f"{name} changes {output}")


def batch(built: Built, prepared: Prepared) -> Dict[str, Any]:
    """Real rows with labels that are neither all one thing nor the other, every mask on, and weights of 1."""
    rows = requests.sample(built, prepared, 16, part="train")
    found: Dict[str, Any] = {}
    for group, inputs in training_inputs(built).items():
        for name, info in inputs.items():
            if group == "features":
                found[f"{group}/{name}"] = wire.tensors({name: info}, rows)[name]
            elif info.dtype == "float32":
                cells = np.arange(16) % 2 if group == "labels" else np.ones(16)
                found[f"{group}/{name}"] = tf.constant(cells, tf.float32)
            else:  # the item that comes next
                found[f"{group}/{name}"] = tf.constant(rows[str(built.schema.roles.item)])
    return found


def other_values(cells: Any) -> Any:
    """Another item for each row; other labels, masks and weights for the first rows."""
    if cells.dtype != tf.float32:
        return tf.roll(cells, 1, 0)
    return tf.concat([1.0 - cells[:5], cells[5:]], 0)


def test_planted_leak_is_found(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A label in every prediction of every model, by a path that no name gives away."""
    labels, answers = saved_models._labels, inference.answers
    seen: List[Any] = []
    leaking = built.schema.labels[0].name

    def look(made: Built, raw: Any) -> Any:
        seen.append(raw)
        return labels(made, raw)

    def leak(made: Built, logits: Any) -> Any:
        known = tf.cast(tf.cast(seen[-1][leaking], tf.int64) > 0, tf.int64)
        place = tf.reduce_max(known)
        return {name: tf.gather(tf.stack([z, z * 1.01]), place) for name, z in answers(made, logits).items()}

    monkeypatch.setattr(saved_models, "_labels", look)
    monkeypatch.setattr(saved_models, "answers", leak)
    save_training_graph(built, tmp_path / "leaking")
    found = prove(tmp_path / "leaking")
    assert {(each.rule, each.tensor) for each in found} == {("SIG401", f"labels/{leaking}")}


def test_weight_that_is_left_out_is_found(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum is taken without the weights: the model trains, on rows that should not count as much."""
    total = type(built.graph).loss_of

    def unweighted(self: Any, given: Any, training: bool) -> Any:
        ones = {name: tf.ones_like(cells) for name, cells in given.sample_weights.items()}
        return total(self, given._replace(sample_weights=ones), training)

    monkeypatch.setattr(type(built.graph), "loss_of", unweighted)
    save_training_graph(built, tmp_path / "weightless")
    weights = sorted(name for name in declared(built) if name.startswith("sample_weights/"))
    assert weights
    found = [(each.rule, each.tensor) for each in prove(tmp_path / "weightless")]
    assert found == [("SIG402", name) for name in weights]
