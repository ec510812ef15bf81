"""The assertion for other people's test suites."""

from __future__ import annotations

from pathlib import Path

import pytest

from signatures.errors import UsageError
from signatures.testing import assert_pure
from tests.saved_model_files import write

MASKED = "input price float32[?]\ninput gate float32[?]\noutput score float32[?]\nscore = Mul price gate\n"
TRAINING = """
input features/price float32[?]
input labels/click float32[?]
output loss float32[]
output predictions/click float32[?] = {prediction}
leak = Mul features/price labels/click
loss = Sub labels/click features/price
"""


def test_pure_model_passes(tmp_path: Path) -> None:
    assert_pure(write(tmp_path, MASKED), features=["price", "gate"])
    assert_pure(str(tmp_path), training_only=["mask"])


def test_mask_under_another_name_fails_and_the_text_names_it(tmp_path: Path) -> None:
    with pytest.raises(AssertionError) as told:
        assert_pure(write(tmp_path, MASKED), features=["price"])
    head, finding = str(told.value).splitlines()
    assert head == f"{tmp_path} is not pure:"
    assert finding.startswith("  SIG102 serving_default/gate: input 'gate' changes output 'score' at Mul 'score'")


def test_warning_alone_passes_and_an_ignored_code_does_not_count(tmp_path: Path) -> None:
    assert_pure(write(tmp_path, MASKED.replace("score = Mul", "score = Identity")), features=["price", "gate"])
    assert_pure(write(tmp_path, MASKED), features=["price"], ignore=["SIG102"])


def test_nothing_is_proven_without_saying_what_a_feature_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give features="):
        assert_pure(write(tmp_path, MASKED))


def test_training_graph_is_proven_too(tmp_path: Path) -> None:
    model = write(tmp_path / "model", MASKED)
    pure = write(tmp_path / "pure", TRAINING.format(prediction="features/price"))
    leaking = write(tmp_path / "leaking", TRAINING.format(prediction="leak"))
    assert_pure(model, features=["price", "gate"], training_graph=pure)
    with pytest.raises(AssertionError, match="SIG401 .*'predictions/click' depends on 'labels/click'"):
        assert_pure(model, features=["price", "gate"], training_graph=leaking)


def test_model_that_is_none_is_no_failed_assertion(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds neither"):
        assert_pure(tmp_path, features=["price"])
