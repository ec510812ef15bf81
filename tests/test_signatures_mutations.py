"""Real exports, damaged: whatever becomes of one, there are findings or one sentence, soon."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Dict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signatures.diff import diff
from signatures.errors import UsageError
from signatures.lint import lint
from signatures.reader import FILE
from tests import traced_models
from tests.mutations import mutate

SECONDS = 20
"""Of the processor, for a damaged model; a whole one takes a tenth of a second."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Path]:
    """Models that TensorFlow wrote: functions, control flow of TF1, tables, variables."""
    root = tmp_path_factory.mktemp("whole")
    return {"tf2": traced_models.save(root / "tf2"), "tf1": traced_models.save_tf1(root / "tf1")}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["tf1", "tf2"]), seed=st.integers(0, 2**32), listed=st.booleans())
def test_damaged_model_is_refused_or_linted(
    tmp_path: Path, whole: Dict[str, Path], kind: str, seed: int, listed: bool
) -> None:
    (tmp_path / FILE).write_bytes(mutate((whole[kind] / FILE).read_bytes(), seed))
    started = time.process_time()
    try:
        found = lint(tmp_path, features=["a", "b"] if listed else None)
        assert all("\n" not in each.message for each in found)
        diff(whole[kind], tmp_path)
    except UsageError as error:
        assert "\n" not in str(error)
    assert time.process_time() - started < SECONDS


def test_same_seed_damages_in_the_same_way(whole: Dict[str, Path]) -> None:
    """Else a failure above could not be looked into."""
    content = (whole["tf1"] / FILE).read_bytes()
    assert [mutate(content, seed) for seed in range(20)] == [mutate(content, seed) for seed in range(20)]


def test_some_damage_leaves_a_model_that_can_be_linted(tmp_path: Path, whole: Dict[str, Path]) -> None:
    """Else only the refusals would be tested."""
    content = (whole["tf1"] / FILE).read_bytes()
    linted = 0
    for seed in range(60):
        (tmp_path / FILE).write_bytes(mutate(content, seed))
        try:
            lint(tmp_path)
            linted += 1
        except UsageError:
            pass
    assert 5 < linted < 60
