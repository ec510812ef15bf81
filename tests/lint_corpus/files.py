"""SIG301 to SIG304: assets and variables."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Dict, Tuple

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tests.lint_corpus.case import Case
from tests.lint_corpus.saving import (
    FLOATS,
    TEXTS,
    Graph1,
    edited,
    followed,
    graph,
    named,
    placeholder,
    signature,
    stateful,
    vocabulary,
)

FILE = "vocabulary.txt"


def looked_up(folder: Path) -> None:
    """A model with an asset; the original is gone, the export carries its own."""
    source = folder.with_name(folder.name + "-source")

    def make(module: Any) -> Dict[str, Any]:
        module.table = vocabulary(source)
        return {"serving_default": signature(lambda name: named(id=module.table.lookup(name)), name=TEXTS)}

    stateful(make)(folder)
    shutil.rmtree(source)


def absolute(saved: Any) -> None:
    saved.meta_graphs[0].asset_file_def[0].filename = "/data/" + FILE


def climbing(saved: Any) -> None:
    saved.meta_graphs[0].asset_file_def[0].filename = "../../" + FILE


def without_init(saved: Any) -> None:
    """TensorFlow 2 names it twice: for itself, and for those who read files of TensorFlow 1."""
    del saved.meta_graphs[0].signature_def["__saved_model_init_op"]
    del saved.meta_graphs[0].collection_def["saved_model_main_op"]


def table_of_tf1(initialised: str) -> Any:
    """Two tables, of which the first is read and `initialised` is filled at load."""

    def make() -> Graph1:
        name = placeholder("name", tf.string)
        tables = {}
        for key in ("first", "second"):
            initializer = tf.lookup.KeyValueTensorInitializer(["ann"], tf.constant([1], tf.int64))
            tables[key] = tf.lookup.StaticHashTable(initializer, -1, name=key)
        filled = tables[initialised]._initialize() if initialised else None
        return Graph1({"name": name}, {"id": tables["first"].lookup(name)}, main_op=filled)

    return make


def adam(module: Any) -> Dict[str, Any]:
    module.weight = tf.Variable(tf.ones([3, 1]), name="kernel")
    module.optimizer = keras.optimizers.Adam()
    module.optimizer.build([module.weight])
    body = lambda x: named(score=tf.matmul(x, module.weight))  # noqa: E731
    return {"serving_default": signature(body, x=tf.TensorSpec([None, 3], tf.float32))}


def fitted_keras(folder: Path) -> None:
    """Saved as it was trained: with optimizer and metrics."""
    inputs = keras.Input([3], name="x")
    model = keras.Model(inputs, {"score": keras.layers.Dense(1, name="score")(inputs)})
    model.compile("adam", "mse")
    model.fit(np.ones([4, 3], np.float32), np.ones([4, 1], np.float32), verbose=0)
    model.save(folder, save_format="tf")


def tower_of_training() -> Graph1:
    price = placeholder("price")
    weight = tf.compat.v1.get_variable("weight", [], tf.float32)
    tf.compat.v1.get_variable("item_tower/kernel", [5, 5], tf.float32)
    return Graph1({"price": price}, {"score": price * weight})


def scaled(module: Any) -> Dict[str, Any]:
    module.weight = tf.Variable(tf.ones([1000]))
    return {"serving_default": signature(lambda x: named(score=x * module.weight[0]), x=FLOATS)}


def add_stale_shard(folder: Path) -> None:
    (folder / "variables" / "variables.data-00000-of-00002").write_bytes(bytes(1_500_000))


def add_checkpoint(folder: Path) -> None:
    """Somebody's training checkpoint, saved beside the variables."""
    slots = {f"slot_{place}": tf.Variable(tf.ones([100_000])) for place in range(4)}
    tf.train.Checkpoint(**slots).write(str(folder / "variables" / "checkpoint-9"))


CASES: Tuple[Case, ...] = (
    Case(
        "SIG301",
        "deleted",
        followed(looked_up, lambda folder: (folder / "assets" / FILE).unlink()),
        f"'{FILE}' is missing",
    ),
    Case("SIG301", "absolute", edited(looked_up, absolute), f"'/data/{FILE}' is a path outside"),
    Case("SIG301", "climbing", edited(looked_up, climbing), f"'../../{FILE}' is a path outside"),
    Case("SIG302", "init op dropped", edited(looked_up, without_init), "HashTableV2"),
    Case("SIG302", "no main op", graph(table_of_tf1("")), "HashTableV2 'first"),
    Case("SIG302", "another table filled", graph(table_of_tf1("second")), "HashTableV2 'first"),
    Case("SIG303", "Adam", stateful(adam), "m/kernel", severity="warning"),
    Case("SIG303", "fitted Keras model", fitted_keras, "no signature reads", severity="warning"),
    Case("SIG303", "other tower", graph(tower_of_training), "'item_tower/kernel'", severity="warning"),
    Case(
        "SIG304",
        "stale shard",
        followed(stateful(scaled), add_stale_shard),
        "variables/ take 1.5 MB",
        severity="warning",
    ),
    Case(
        "SIG304", "checkpoint", followed(stateful(scaled), add_checkpoint), "variables/ take 1.6 MB", severity="warning"
    ),
)
