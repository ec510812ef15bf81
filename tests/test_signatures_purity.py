"""The proof on training graphs, and what it refuses to prove. The rules' own examples are in test_signatures_rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from signatures.errors import UsageError
from signatures.lint import lint
from signatures.purity import prove
from tests.saved_model_files import write

PURE = """
input features/price float32[?]
input labels/click float32[?]
input masks/click bool[?]
output loss float32[]
output predictions/click float32[?] = logits
weight = VarHandleOp
value = ReadVariableOp weight
logits = Mul features/price value
loss = SelectV2 masks/click labels/click logits
"""


def test_pure_graph_is_proven(tmp_path: Path) -> None:
    assert prove(write(tmp_path, PURE)) == []


def test_training_graph_is_not_asked_what_servers_need(tmp_path: Path) -> None:
    """Its loss is a scalar, labels are inputs, there is no serving_default: all of it right here."""
    signature = "signature evaluate\n"
    assert lint(write(tmp_path, signature + PURE)) == []


def test_leak_is_found_by_proof_and_lint(tmp_path: Path) -> None:
    leaking = PURE.replace("logits = Mul features/price value", "logits = Mul labels/click value")
    found = prove(write(tmp_path, leaking))
    assert [(each.rule, each.tensor) for each in found] == [("SIG401", "labels/click")]
    assert lint(tmp_path) == found


def test_inference_export_is_no_training_graph(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no training graph"):
        prove(write(tmp_path, "input price float32[?]\noutput score float32[?] = price"))


def test_training_graph_without_predictions_proves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="predictions/"):
        prove(write(tmp_path, PURE.replace("output predictions/click float32[?] = logits\n", "")))


def test_signature_that_merely_names_a_mask_like_a_training_graph_is_linted_as_inference(tmp_path: Path) -> None:
    example = """
input price float32[?]
input masks/click float32[?]
output score float32[?]
score = Mul price masks/click
"""
    assert [each.rule for each in lint(write(tmp_path, example))] == ["SIG101"]
