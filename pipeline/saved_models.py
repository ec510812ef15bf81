"""Writes SavedModels: the inference signatures, and the training graph as one of its own for the proof of purity."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Tuple

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from pipeline.batches import TrainingBatch
from pipeline.builder import Built
from pipeline.encoding import Encoder, Tensors
from pipeline.inference import InferenceSignature, answers, inputs_of, tensor_spec
from signatures.manifest import TensorInfo
from signatures.stock_ops import in_stock_server


class Served(tf.Module):
    """Holds what the signatures read and nothing else: no optimizer slot, no metric, no variable of training."""

    def __init__(self, encoder: Encoder, functions: Tuple[Any, ...]) -> None:
        super().__init__(name="served")
        self.encoder = encoder
        seen = {id(v): v for function in functions for v in function.graph.variables}
        self.parameters = list(seen.values())


def save(signatures: Tuple[InferenceSignature, ...], encoder: Encoder, folder: Path) -> None:
    """Writes the signatures as a SavedModel. They name themselves in the file as they do on the wire."""
    traced = {signature.name: signature.trace() for signature in signatures}
    _write(encoder, traced, folder)


def extra_ops(folder: Path) -> Tuple[str, ...]:
    """The ops of a SavedModel that the stock server has not, sorted."""
    graph = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs[0].graph_def
    functions = {function.signature.name for function in graph.library.function}
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return tuple(sorted({node.op for node in nodes if node.op not in functions and not in_stock_server(node.op)}))


def save_training_graph(built: Built, folder: Path) -> None:
    """The training graph as a SavedModel: inputs `features/…`, `labels/…`, `masks/…`, `sample_weights/…`; outputs
    `loss` (scalar) and `predictions/TASK` [B], on raw features, in inference mode (no dropout, no sampled statistics).
    """
    groups = training_inputs(built)
    specs = {
        f"{group}__{name}": tensor_spec(f"{group}/{name}", info)
        for group, inputs in groups.items()
        for name, info in inputs.items()
    }

    def training_graph(**raw: tf.Tensor) -> Tensors:
        parts = {group: {name: raw[f"{group}__{name}"] for name in inputs} for group, inputs in groups.items()}
        features = built.encoder(parts["features"])
        batch = TrainingBatch(features, _labels(built, parts["labels"]), parts["masks"], parts["sample_weights"])
        total, _ = built.graph.loss_of(batch, training=False)
        scores = answers(built, built.model(features, training=False))
        return {"loss": total, **{f"predictions/{name}": score for name, score in scores.items()}}

    with _slashes_allowed():
        # With AutoGraph, unlike the signatures: losses of tensorflow-recommenders are written for it.
        traced = tf.function(training_graph).get_concrete_function(**specs)
        _write(built.encoder, {"serving_default": traced}, folder)


def training_inputs(built: Built) -> Dict[str, Dict[str, TensorInfo]]:
    """By group, what the training graph takes."""
    schema = built.schema
    number = TensorInfo(dtype="float32", shape=(None,), role="feature")
    items = {task.label for task in schema.tasks if task.kind == "next_item"}
    raw_id = number if not items else number.model_copy(update={"dtype": schema.feature(str(schema.roles.item)).dtype})
    return {
        "features": inputs_of(schema.columns()),
        "labels": {part.name: raw_id if part.name in items else number for part in schema.labels},
        "masks": {part.name: number for part in schema.masks},
        "sample_weights": {part.name: number for part in schema.sample_weights},
    }


@contextmanager
def _slashes_allowed() -> Iterator[None]:
    """Silences one warning an input: names such as `features/user_id` are wanted on the wire, if not in Python."""
    logger = logging.getLogger("absl")

    def other(record: logging.LogRecord) -> bool:
        return "is not a valid tf.function parameter name" not in record.getMessage()

    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)


def _labels(built: Built, raw: Mapping[str, tf.Tensor]) -> Tensors:
    items = {task.label for task in built.schema.tasks if task.kind == "next_item"}
    item = built.schema.feature(str(built.schema.roles.item)) if items else None
    return {name: built.encoder.ids(item, label) if name in items else label for name, label in raw.items()}


def _write(encoder: Encoder, traced: Dict[str, Any], folder: Path) -> None:
    module = Served(encoder, tuple(traced.values()))
    # Ops of a namespace are refused unless it is named: ScaNN's are those that a signature may have.
    tf.saved_model.save(
        module, str(folder), signatures=traced, options=tf.saved_model.SaveOptions(namespace_whitelist=["Scann"])
    )
