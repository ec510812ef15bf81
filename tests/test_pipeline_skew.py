"""Training-serving skew: answers of the exported signatures agree with the trained model, and planted skew is found."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest

from pipeline import inference, requests, wire
from pipeline.items import load as load_items
from pipeline.prepared import Prepared
from pipeline.skew import Sample, check, check_age, difference
from signatures.errors import UsageError
from signatures.manifest import Data, Manifest
from tests import built_models

Arrays = Dict[str, np.ndarray]


@pytest.fixture(scope="module", params=["din", "two_tower"])
def served(request: pytest.FixtureRequest, tiny_prepared: Prepared) -> Any:
    """A model, its catalogue, and a sample of each signature as its traced function answers."""
    built = built_models.built(request.param, tiny_prepared)
    items = load_items(tiny_prepared)
    rows = requests.sample(built, tiny_prepared, 16)
    samples = []
    for signature in inference.signatures(built, items):
        asked = requests.request(signature, built, rows, items)
        given = {name: asked[name] for name in signature.inputs}
        samples.append(Sample(signature.name, given, wire.call(signature.trace(), signature.inputs, given)))
    return built, items, samples


def test_served_answers_agree(served: Any) -> None:
    built, items, samples = served
    found = check(built, items, samples)
    assert {each.signature for each in found} == {each.signature for each in samples}
    assert all(each.agrees for each in found), found
    by_name = {each.signature: each for each in found}
    assert (by_name["rank"].requests, by_name["rank"].cells) == (1, 16 * 7)


def spoil(sample: Sample, name: str) -> Sample:
    inputs = dict(sample.inputs)
    changed = inputs[name].copy()
    changed[0] = changed[0] * 0 + 17 if changed.dtype.kind in "if" else "nobody"
    return replace(sample, inputs={**inputs, name: changed})


@pytest.mark.parametrize("name", ["user_id", "item_id"])
def test_a_feature_that_was_served_otherwise_is_found(served: Any, name: str) -> None:
    """The log says other ids than the server saw: what a client that fills a feature in another way would do."""
    built, items, samples = served
    for wanted in ("serving_default", "rank"):
        sample = next(each for each in samples if each.signature == wanted)
        found = check(built, items, [sample, spoil(sample, name)])
        assert not found[0].agrees and found[0].worst == "request 2" and found[0].requests == 2


def test_an_embedding_or_score_off_by_little_is_found(served: Any) -> None:
    built, items, samples = served
    for sample in samples:
        floats = {name: array for name, array in sample.outputs.items() if array.dtype.kind == "f"}
        off = {name: np.where(array > -1e30, array + np.float32(0.002), array) for name, array in floats.items()}
        assert not any(each.agrees for each in check(built, items, [replace(sample, outputs=off)])), sample.signature


@pytest.mark.parametrize(
    ("served", "trained", "away"),
    [
        ([0.5], [0.5], 0.0),
        ([0.5], [0.25], 0.25),
        ([100.0, 0.0], [99.0, 100.0], 1.0),  # 100 away, measured in 100
        ([-3.4e38, 1.0], [-3.4e38, 1.5], 0.5 / 1.5),  # the lowest number is no size to measure by
        ([np.nan], [np.nan], 0.0),
        ([np.nan], [1.0], np.inf),
        ([1.0], [np.inf], np.inf),
        ([[1.0]], [1.0], np.inf),
    ],
)
def test_difference(served: List[float], trained: List[float], away: float) -> None:
    assert difference(np.array(served), np.array(trained)) == pytest.approx(away)


@pytest.mark.parametrize(("change", "said"), [("drop", "lacks 'age'"), ("add", "has 'label', which"),
                                              ("signature", "asks for signature 'nope'")])
def test_requests_of_another_model_are_refused(served: Any, change: str, said: str) -> None:
    built, items, samples = served
    sample = next(each for each in samples if each.signature == "serving_default")
    inputs = dict(sample.inputs)
    if change == "drop":
        del inputs["age"]
    elif change == "add":
        inputs["label"] = np.zeros(16)
    name = "nope" if change == "signature" else sample.signature
    with pytest.raises(UsageError, match=f"request 1.* {said}"):
        check(built, items, [Sample(name, inputs, sample.outputs)])


def test_a_run_trained_after_its_export_is_another_model(tmp_path: Path) -> None:
    data = Data(name="none", fingerprint="0", synthetic=True)
    manifest = Manifest(model="m", version=3, created="2001-09-09T01:46:40+00:00", schema_hash="", features=(),
                        training_only=(), signatures={}, server_image="", metrics={}, data=data, code_commit="")
    best = tmp_path / "checkpoints" / "best-1.index"
    best.parent.mkdir()
    best.touch()
    os.utime(best, (1_000_000_000, 1_000_000_000))  # that very second
    check_age(tmp_path, manifest)
    os.utime(best, (1_000_000_100, 1_000_000_100))
    with pytest.raises(UsageError, match="was trained after version 3 of m was exported"):
        check_age(tmp_path, manifest)
