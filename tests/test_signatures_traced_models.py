"""The tracer on computations that TensorFlow wrote, in each of its forms; expected sets are told in traced_models."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterator, List

import numpy as np
import pytest
import tensorflow as tf

from signatures.export import Export
from signatures.lint import open_export
from tests import traced_models


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return traced_models.save(tmp_path_factory.mktemp("tf2"))


@pytest.fixture(scope="module")
def export(folder: Path) -> Export:
    return open_export(folder)


@pytest.fixture(scope="module")
def tf1(tmp_path_factory: pytest.TempPathFactory) -> Export:
    return open_export(traced_models.save_tf1(tmp_path_factory.mktemp("tf1") / "model"))


@pytest.mark.parametrize("name", traced_models.COMPUTATIONS)
def test_inputs_that_change_the_output_are_exactly_those(export: Export, name: str) -> None:
    assert "".join(sorted(export.trace(name).inputs("score"))) == traced_models.COMPUTATIONS[name][0]


@pytest.mark.parametrize("name", traced_models.TF1)
def test_tf1_too(tf1: Export, name: str) -> None:
    assert "".join(sorted(tf1.trace(name).inputs("score"))) == traced_models.TF1[name][0]


def test_tf1_models_hold_the_control_flow_of_tf1(tf1: Export) -> None:
    """Else the test above would prove nothing of it."""
    held = {node.op for node in tf1.model.graph.nodes.values()}
    assert {"Switch", "Merge", "Enter", "Exit", "NextIteration", "LoopCond", "Assign", "TensorArrayReadV3"} <= held


def test_tf2_models_hold_every_form_of_call(export: Export) -> None:
    graphs = (export.model.graph, *export.model.functions.values())
    held = {node.op for graph in graphs for node in graph.nodes.values()}
    wanted = {"PartitionedCall", "StatefulPartitionedCall", "StatelessIf", "StatelessCase", "BatchFunction"}
    assert wanted <= held and {"While", "StatelessWhile"} & held and {"TensorListReserve", "ReduceDataset"} <= held


def test_no_change_goes_unseen_when_the_models_run(folder: Path, export: Export) -> None:
    """Each input is changed in turn; where the answer changes, the tracer must have known."""
    model = tf.saved_model.load(str(folder))
    unseen: List[str] = []
    for name in traced_models.COMPUTATIONS:
        before = _answer(model.signatures[name], _values())
        for changed, values in _changes():
            if not np.array_equal(before, _answer(model.signatures[name], values)):
                unseen += [] if changed in export.trace(name).inputs("score") else [f"{changed} changes {name}"]
    assert unseen == []


def _values() -> Dict[str, np.ndarray]:
    return {"a": np.array([1, 2, 3, 4], "f"), "b": np.array([5, 6, 7, 8], "f"), "m": np.array([0, 1, 2, 3], "f")}


def _changes() -> Iterator[Any]:
    for name in traced_models.INPUTS:
        for step in (1.0, -7.0, 100.0):
            yield name, {**_values(), name: _values()[name] + np.float32(step)}
        yield name, {**_values(), name: _values()[name][::-1].copy()}


def _answer(signature: Any, values: Dict[str, np.ndarray]) -> np.ndarray:
    wanted = signature.structured_input_signature[1]
    return signature(**{name: tf.constant(values[name]) for name in wanted})["score"].numpy()
