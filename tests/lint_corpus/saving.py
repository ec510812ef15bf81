"""Saves small models: functions as signatures (TensorFlow 2), graphs in a session (TensorFlow 1), edited files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Tuple

import tensorflow as tf

from tests.lint_corpus.case import Build

FLOATS = tf.TensorSpec([None], tf.float32)
VECTORS = tf.TensorSpec([None, 3], tf.float32)
IDS = tf.TensorSpec([None], tf.int64)
TEXTS = tf.TensorSpec([None], tf.string)
LISTS = tf.TensorSpec([None, None], tf.int64)
PREDICT = "tensorflow/serving/predict"


class Graph1(NamedTuple):
    """A TF1 graph: what its one signature takes and answers."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    main_op: Any = None
    method: str = PREDICT


def signature(function: Callable[..., Any], **arguments: tf.TensorSpec) -> Any:
    """A function as a signature, its arguments named as given."""
    specs = [tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in arguments.items()]
    return tf.function(function, input_signature=specs)


def serving(function: Callable[..., Any], **arguments: tf.TensorSpec) -> Build:
    """Saves a function without state as serving_default."""
    return stateful(lambda module: {"serving_default": signature(function, **arguments)})


def stateful(make: Callable[[Any], Mapping[str, Any]]) -> Build:
    """Saves the signatures that `make` returns; variables, tables and layers it puts on the module that it is given."""

    def build(folder: Path) -> None:
        module = tf.Module()
        module.signatures_made = dict(make(module))
        tf.saved_model.save(module, str(folder), signatures=module.signatures_made)

    return build


def graph(make: Callable[[], Graph1], *tags: str) -> Build:
    """Saves a TF1 graph with its variables, tagged `serve` unless told."""

    def build(folder: Path) -> None:
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            made = make()
            session.run(tf.compat.v1.global_variables_initializer())
            build_info = tf.compat.v1.saved_model.build_tensor_info
            inputs = {name: build_info(tensor) for name, tensor in made.inputs.items()}
            outputs = {name: build_info(tensor) for name, tensor in made.outputs.items()}
            described = tf.compat.v1.saved_model.build_signature_def(inputs, outputs, made.method)
            builder = tf.compat.v1.saved_model.Builder(str(folder))
            builder.add_meta_graph_and_variables(
                session, list(tags or ("serve",)), {"serving_default": described}, main_op=made.main_op
            )
            builder.save()

    return build


def edited(build: Build, change: Callable[[Any], Any]) -> Build:
    """Saves a model and changes its SavedModel message, as a tool that rewrites models may."""

    return followed(build, lambda folder: edit(folder, change))


def edit(folder: Path, change: Callable[[Any], Any]) -> None:
    """Changes the SavedModel message in a folder."""
    from tensorflow.core.protobuf import saved_model_pb2

    file = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    change(saved)
    file.write_bytes(saved.SerializeToString())


def followed(build: Build, change: Callable[[Path], Any]) -> Build:
    """Saves a model and changes its folder."""

    def build_and_change(folder: Path) -> None:
        build(folder)
        change(folder)

    return build_and_change


def replaced(op: str, other: str) -> Callable[[Any], None]:
    """An edit that makes every node of one op one of another op."""

    def change(saved: Any) -> None:
        definition = saved.meta_graphs[0].graph_def
        for nodes in (definition.node, *(each.node_def for each in definition.library.function)):
            for node in nodes:
                node.op = other if node.op == op else node.op

    return change


def placeholder(name: str, dtype: tf.DType = tf.float32, shape: Tuple[Optional[int], ...] = (None,)) -> Any:
    """A TF1 placeholder."""
    return tf.compat.v1.placeholder(dtype, shape, name=name)


def vocabulary(folder: Path) -> Any:
    """A static table from a file that the export will carry."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "vocabulary.txt"
    file.write_text("ann\nbob\n", encoding="utf-8")
    initializer = tf.lookup.TextFileInitializer(
        str(file), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
    )
    return tf.lookup.StaticHashTable(initializer, -1)


def named(**tensors: Any) -> Dict[str, Any]:
    """A signature's answer."""
    return tensors
