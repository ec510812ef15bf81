"""Whose input is it: what names say on their own, and what a declaration decides."""

from __future__ import annotations

from typing import Dict, Optional, Tuple

import pytest

from signatures.declaration import Declaration, declare
from signatures.manifest import Data, Feature, Manifest
from signatures.manifest import Signature as Served
from signatures.manifest import TensorInfo as ServedTensor
from signatures.saved_model import Signature, TensorInfo

UNKNOWN = Declaration(None, frozenset())


def role(name: str, declaration: Declaration = UNKNOWN, tensor: Optional[str] = None) -> str:
    """The role of an input of `rank` whose tensor is named as tf.saved_model does, or as told."""
    info = TensorInfo((tensor or f"rank_{name}:0",), "float32", (None,))
    return declaration.role(name, Signature("rank", "", {name: info}, {}))


@pytest.mark.parametrize(
    "name",
    ["mask", "Mask", "masks", "label", "labels", "sample_weight", "sampleWeights", "y_true", "loss_mask", "label_1",
     "masks/click", "labels/rating", "sample_weights/click", "is_training", "keep_prob", "training"],
)  # fmt: skip
def test_name_of_training(name: str) -> None:
    assert role(name) == "named_for_training"


@pytest.mark.parametrize("name", ["click_mask", "like_label", "click_labels", "ctr_sample_weight", "clickMask"])
def test_name_that_may_be_of_training(name: str) -> None:
    assert role(name) == "perhaps_for_training"


@pytest.mark.parametrize(
    "name",
    ["face_mask_type", "item_weight_grams", "label_count", "record_label_id", "attention_mask", "padding_mask",
     "history_mask", "record_label", "w", "aux", "gate", "position", "weight", "price", "unmasked", "labeller"],
)  # fmt: skip
def test_name_of_a_feature(name: str) -> None:
    assert role(name) == "unknown"


def test_tensor_can_tell_more_than_the_name() -> None:
    assert role("context", tensor="sample_weights:0") == "named_for_training"
    assert role("context", Declaration(None, frozenset({"sample_weights"})), "sample_weights:0") == "training_only"


def test_features_decide_whatever_the_name() -> None:
    listed = Declaration(frozenset({"mask", "price"}), frozenset())
    assert [role(name, listed) for name in ("mask", "price", "gate")] == ["feature", "feature", "undeclared"]


def test_training_only_is_stronger_than_the_list_of_features() -> None:
    assert role("gate", Declaration(frozenset({"gate"}), frozenset({"gate"}))) == "training_only"


def tensor(role: str, length: Optional[str] = None) -> ServedTensor:
    return ServedTensor.model_validate({"dtype": "int64", "shape": (None,), "role": role, "length": length})


def manifest(inputs: Dict[str, ServedTensor], carried: Tuple[str, ...]) -> Manifest:
    """A manifest whose only feature is carried by some inputs of its only signature."""
    feature = Feature(name="genres", side="item", kind="bag", dtype="int64", inputs=carried)
    return Manifest(
        model="m",
        version=1,
        created="",
        schema_hash="",
        features=(feature,),
        training_only=("click",),
        signatures={"retrieve": Served(inputs=inputs, outputs={}, kind="retrieve")},
        server_image="",
        metrics={},
        data=Data(name="", fingerprint="", synthetic=True),
        code_commit="",
    )


def test_manifest_declares_features_their_lengths_and_the_request() -> None:
    inputs = {
        "genres": tensor("feature", "genres_length"),
        "genres_length": tensor("length"),
        "k": tensor("request"),
        "exclude": tensor("request", "exclude_length"),
        "exclude_length": tensor("length"),
        "gate": tensor("feature"),
        "gate_length": tensor("length"),
    }
    declared = declare(manifest(inputs, ("genres",)), None, ())
    assert declared.training_only == {"click"}
    # `gate` says of itself that it is a feature, but no declared feature is carried by it.
    assert declared.features == frozenset({"genres", "genres_length", "k", "exclude", "exclude_length"})


def test_command_line_adds_to_the_manifest() -> None:
    declared = declare(manifest({}, ("genres",)), ["price"], ["position"])
    assert declared.features == frozenset({"genres", "price"})
    assert declared.training_only == {"click", "position"}


def test_nothing_is_declared_without_either() -> None:
    assert declare(None, None, ()) == UNKNOWN
    assert declare(None, [], ()).features == frozenset()
