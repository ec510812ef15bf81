"""What an export says of its retrieval, the floor under it, and the signature that needs another server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline import experiment as experiments
from pipeline import export as exports
from pipeline import inference, requests, wire
from pipeline.builder import Built, build
from pipeline.export import Figures, Outcome, export, versions
from pipeline.items import load as load_items
from pipeline.prepared import Prepared
from pipeline.retrieval.inverted_file import Blocks
from serving.deployment import images
from signatures import manifest as manifests
from signatures.errors import UsageError
from signatures.lint import lint
from signatures.manifest import Manifest
from tests import built_models

GOOD = Figures({"auc": 0.9}, {"auc": 0.8})
FILE = {"index": "inverted_file", "lists": 1}


@pytest.fixture(scope="module")
def two_tower(tiny_prepared: Prepared) -> Built:
    return built_models.built("two_tower", tiny_prepared)


def wanting(built: Built, **settings: Any) -> Built:
    """The same model, retrieving otherwise."""
    changed = built.experiment.retrieval.model_copy(update=settings)
    return replace(built, experiment=built.experiment.model_copy(update={"retrieval": changed}))


def published(outcome: Outcome) -> Manifest:
    assert [gate for gate in outcome.gates if not gate.passed] == []
    assert outcome.version is not None
    manifest = manifests.read(outcome.version)
    assert manifest is not None
    return manifest


def test_an_exact_index_is_said_to_find_all(two_tower: Built, tiny_prepared: Prepared, tmp_path: Path) -> None:
    manifest = published(export(two_tower, tiny_prepared, GOOD, tmp_path))
    how = manifest.retrieval["retrieve"]
    assert (how.index, how.lists, how.probes) == ("exact", None, None)
    assert how.items == len(load_items(tiny_prepared).ids) and how.users > 10
    assert set(how.recall) == {"recall@10"} and how.recall["recall@10"] == 1.0
    assert (manifest.extra_ops, manifest.server_image) == ((), exports.SERVER_IMAGE)


def test_an_inverted_file_is_served_and_probes_what_it_needs(
    two_tower: Built, tiny_prepared: Prepared, tmp_path: Path
) -> None:
    built = wanting(two_tower, **FILE)
    outcome = export(built, tiny_prepared, GOOD, tmp_path)
    how = published(outcome).retrieval["retrieve"]
    assert how.index == "inverted_file" and how.lists == 1 and how.probes is not None
    assert how.recall["recall@10"] >= 0.95
    assert not [finding for finding in lint(outcome.version) if finding.severity != "info"]  # type: ignore[arg-type]
    loaded = tf.saved_model.load(str(outcome.version))
    signature = inference.signatures(two_tower, load_items(tiny_prepared))[-1]
    asked = requests.best(signature, requests.sample(two_tower, tiny_prepared, 8), 3)
    served = wire.call(loaded.signatures["retrieve"], signature.inputs, asked)
    exact = wire.call(signature.trace(), signature.inputs, asked)
    np.testing.assert_allclose(served["score"], exact["score"], atol=1e-5)


@pytest.mark.parametrize("model", ["two_tower", "sasrec"])
def test_answers_that_miss_the_best_are_refused(
    model: str, tiny_prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted defect: an index that leaves out each user's best item, and is served just as it was made."""
    original = inference.signatures

    def planted(*arguments: Any) -> Any:
        return tuple(without_the_first(s) if s.kind == "retrieve" else s for s in original(*arguments))

    def without_the_first(signature: inference.InferenceSignature) -> inference.InferenceSignature:
        def later(raw: Any) -> Any:
            one_more = {**raw, "k": raw["k"] + 1}
            return {name: cells[:, 1:] for name, cells in signature.function(one_more).items()}

        return replace(signature, function=later)

    monkeypatch.setattr(inference, "signatures", planted)
    outcome = export(built_models.built(model, tiny_prepared), tiny_prepared, GOOD, tmp_path)
    assert [gate.name for gate in outcome.gates if not gate.passed] == ["retrieval recall"]
    detail = next(gate.detail for gate in outcome.gates if gate.name == "retrieval recall")
    assert "recall@10 is 0.9000, below 0.9500 (gates.retrieval_recall)" in detail
    assert outcome.version is None and not versions(tmp_path / model) and not list(tmp_path.glob(".work-*"))


def test_too_few_probes_are_refused_with_the_remedy(
    two_tower: Built, tiny_prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Blocks of 64 hold all of the tiny catalogue, so the one block is emptied of every second item.
    original = Blocks.__init__

    def half(self: Any, lists: int, places: np.ndarray, *others: Any) -> None:
        original(self, lists, np.where(np.arange(places.shape[1]) % 2, -1, places), *others)

    monkeypatch.setattr(Blocks, "__init__", half)
    built = wanting(two_tower, **FILE, probes=1)
    outcome = export(built, tiny_prepared, GOOD, tmp_path)
    assert [gate.name for gate in outcome.gates if not gate.passed] == ["retrieval recall"]
    detail = next(gate.detail for gate in outcome.gates if gate.name == "retrieval recall")
    assert "set retrieval.probes above 1, or retrieval.index=exact" in detail


def test_the_floor_can_be_lowered(two_tower: Built, tiny_prepared: Prepared, tmp_path: Path) -> None:
    experiment = two_tower.experiment
    assert experiment.gates.retrieval_recall == 0.95
    lower = experiment.model_copy(update={"gates": experiment.gates.model_copy(update={"retrieval_recall": 0.5})})
    outcome = export(replace(two_tower, experiment=lower), tiny_prepared, GOOD, tmp_path)
    assert ">= 0.5000" in next(gate.detail for gate in outcome.gates if gate.name == "retrieval recall")


def test_a_model_that_does_not_retrieve_has_no_floor(tiny_prepared: Prepared, tmp_path: Path) -> None:
    outcome = export(built_models.built("deepfm", tiny_prepared), tiny_prepared, GOOD, tmp_path)
    assert published(outcome).retrieval == {}
    assert next(g.detail for g in outcome.gates if g.name == "retrieval recall") == "no signature retrieves"


def test_scann_is_another_signature_and_another_server(
    two_tower: Built, tiny_prepared: Prepared, tmp_path: Path
) -> None:
    pytest.importorskip("scann", reason="scann has no wheel for this platform")
    outcome = export(wanting(two_tower, scann=True), tiny_prepared, GOOD, tmp_path)
    manifest = published(outcome)
    assert manifest.signatures["retrieve_scann"] == manifest.signatures["retrieve"]
    assert manifest.retrieval["retrieve_scann"].index == "scann"
    assert manifest.retrieval["retrieve_scann"].recall["recall@10"] >= 0.95
    assert set(manifest.extra_ops) == {"Scann>ScannSearchBatched", "Scann>TensorsToScann"}
    assert manifest.server_image == exports.SCANN_IMAGE == images.SCANN_IMAGE
    said = [f for f in lint(outcome.version) if f.rule == "SIG205"]  # type: ignore[arg-type]
    assert said and {(f.severity, f.signature) for f in said} == {("info", "retrieve_scann")}
    assert exports.SCANN_IMAGE in said[0].message


def test_scann_where_nothing_is_retrieved_is_one_sentence(tiny_prepared: Prepared, tmp_path: Path) -> None:
    built = wanting(built_models.built("sasrec", tiny_prepared), scann=True)
    with pytest.raises(UsageError, match="retrieval.scann is true, but sasrec has no signature 'retrieve'"):
        export(built, tiny_prepared, GOOD, tmp_path)
    assert not list(tmp_path.glob(".work-*"))


def test_a_manifest_without_retrieval_is_still_read(two_tower: Built, tiny_prepared: Prepared, tmp_path: Path) -> None:
    version = export(two_tower, tiny_prepared, GOOD, tmp_path).version
    assert version is not None
    path = version / manifests.PATH_IN_EXPORT
    older = Manifest.model_validate_json(path.read_bytes()).model_dump(mode="json")
    del older["retrieval"]
    assert Manifest.model_validate(older).retrieval == {}


def test_settings_come_from_the_experiment(tiny_prepared: Prepared) -> None:
    found = experiments.load("two_tower", overrides=["retrieval.index=inverted_file", "retrieval.probes=1"])
    index = inference.catalogues_of(build_ready(found, tiny_prepared), load_items(tiny_prepared))["retrieve"].index
    assert index.described()["index"] == "inverted_file" and index.described()["probes"] == 1


def build_ready(experiment: Any, prepared: Prepared) -> Built:
    made = build(experiment, prepared)
    made.graph.prepare(built_models.batch(made, prepared))
    return made
