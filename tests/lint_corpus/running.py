"""SIG201 to SIG206: ops that must not run."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Dict, Tuple

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tests.lint_corpus.case import Case
from tests.lint_corpus.saving import (
    FLOATS,
    IDS,
    TEXTS,
    VECTORS,
    Graph1,
    edited,
    graph,
    named,
    placeholder,
    replaced,
    serving,
    signature,
    stateful,
)


def python(price: Any) -> Any:
    score = tf.function(lambda x: tf.py_function(lambda y: y, [x], tf.float32))(price)
    return named(score=tf.ensure_shape(score, [None]))


def numpy_in_a_loop(price: Any) -> Any:
    row = lambda x: tf.ensure_shape(tf.numpy_function(np.sin, [x], tf.float32), [])  # noqa: E731
    return named(score=tf.map_fn(row, price, fn_output_signature=tf.float32))


def logging_callback(price: Any) -> Any:
    """Nothing of the answer comes from Python, which is called all the same."""
    tf.py_function(lambda x: None, [price], [])
    return named(score=price * 2.0)


def dropout(module: Any) -> Dict[str, Any]:
    module.dropout = keras.layers.Dropout(0.5)
    return {"serving_default": signature(lambda price: named(score=module.dropout(price, training=True)), price=FLOATS)}


def noise_in_a_branch(price: Any) -> Any:
    noisy = lambda: price + tf.random.stateless_normal(tf.shape(price), seed=(1, 2))  # noqa: E731
    return named(score=tf.cond(price[0] > 0, noisy, lambda: price))


def sampled() -> Graph1:
    logits = placeholder("logits", shape=(None, 3))
    return Graph1({"logits": logits}, {"item": tf.compat.v1.multinomial(logits, 1)})


def shuffled(price: Any) -> Any:
    return named(score=tf.function(tf.random.shuffle)(price))


def counter(module: Any) -> Dict[str, Any]:
    module.calls = tf.Variable(0, dtype=tf.int64)

    def score(price: Any) -> Any:
        module.calls.assign_add(1)
        return named(score=price * 2.0)

    return {"serving_default": signature(score, price=FLOATS)}


def moving_average(module: Any) -> Dict[str, Any]:
    """The averages alone: the answer is normalised as it should be."""
    module.batch_norm = keras.layers.BatchNormalization()
    module.batch_norm.build([None, 3])

    def score(price: Any) -> Any:
        module.batch_norm.moving_mean.assign(module.batch_norm.moving_mean * 0.9 + tf.reduce_mean(price) * 0.1)
        return named(score=module.batch_norm(price, training=False))

    return {"serving_default": signature(score, price=VECTORS)}


def optimizer_step(module: Any) -> Dict[str, Any]:
    """A function down, and reached by its control returns alone."""
    module.weight = tf.Variable(1.0)
    module.optimizer = keras.optimizers.SGD(0.1)

    @tf.function
    def step(x: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(module.weight * x))
        module.optimizer.apply_gradients([(tape.gradient(loss, module.weight), module.weight)])

    def score(price: Any) -> Any:
        answer = price * module.weight
        step(price)
        return named(score=answer)

    return {"serving_default": signature(score, price=FLOATS)}


def remembered(module: Any) -> Dict[str, Any]:
    module.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, 0.0)

    def score(name: Any) -> Any:
        seen = module.table.lookup(name)
        module.table.insert(name, seen + 1.0)
        return named(score=seen)

    return {"serving_default": signature(score, name=TEXTS)}


def read_rows(path: Any) -> Any:
    return named(content=tf.map_fn(tf.io.read_file, path))


def logged(price: Any) -> Any:
    tf.print(price, output_stream="file://requests.log")
    return named(score=price * 2.0)


def written_in_a_branch(price: Any) -> Any:
    def write() -> Any:
        tf.io.write_file("last.txt", tf.strings.as_string(price[0]))
        return price

    return named(score=tf.cond(price[0] > 0, write, lambda: price))


def table_of_this_machine() -> Graph1:
    """The initializer reads a path that is a constant, no asset."""
    city = placeholder("city", tf.string)
    file = Path(tempfile.gettempdir()) / "cities-of-this-machine.txt"
    table = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64, shared_name="cities")
    load = tf.raw_ops.InitializeTableFromTextFileV2(
        table_handle=table, filename=str(file), key_index=-2, value_index=-1
    )
    found = tf.raw_ops.LookupTableFindV2(table_handle=table, keys=city, default_value=tf.constant(-1, tf.int64))
    return Graph1({"city": city}, {"id": tf.ensure_shape(found, [None])}, main_op=load)


def negated(price: Any) -> Any:
    return named(score=tf.function(lambda x: tf.negative(x))(price))


def beside_the_signature() -> Graph1:
    """No request reaches the op; in the main graph it keeps the model from loading."""
    price = placeholder("price")
    tf.negative(price)
    return Graph1({"price": price}, {"score": price * 2.0})


def embedding(module: Any) -> Dict[str, Any]:
    module.rows = tf.Variable(tf.ones([9]))
    return {"serving_default": signature(lambda id: named(score=tf.gather(module.rows, id)), id=IDS)}


def compiled(price: Any) -> Any:
    return named(score=tf.function(lambda x: x * 2.0, jit_compile=True)(price))


def compiled_in_a_loop(price: Any) -> Any:
    fast = tf.function(lambda x: x * 2.0, jit_compile=True)
    return named(score=tf.while_loop(lambda i, _: i < 3, lambda i, x: (i + 1, fast(x)), (0, price))[1])


CASES: Tuple[Case, ...] = (
    Case("SIG201", "function", serving(python, price=FLOATS), "EagerPyFunc"),
    Case("SIG201", "map_fn", serving(numpy_in_a_loop, price=FLOATS), "PyFunc"),
    Case("SIG201", "beside the answer", serving(logging_callback, price=FLOATS), "EagerPyFunc"),
    Case("SIG202", "dropout", stateful(dropout), "RandomUniform"),
    Case("SIG202", "branch", serving(noise_in_a_branch, price=FLOATS), "StatelessRandomNormal"),
    Case("SIG202", "sampling", graph(sampled), "Multinomial"),
    Case("SIG202", "shuffle", serving(shuffled, price=FLOATS), "RandomShuffle"),
    Case("SIG203", "counter", stateful(counter), "AssignAddVariableOp", severity="warning"),
    Case("SIG203", "moving average", stateful(moving_average), "AssignVariableOp"),
    Case("SIG203", "optimizer", stateful(optimizer_step), "of function", also=()),
    Case("SIG203", "table", stateful(remembered), "LookupTableInsertV2"),
    Case("SIG204", "map_fn", serving(read_rows, path=TEXTS), "ReadFile"),
    Case("SIG204", "print", serving(logged, price=FLOATS), "PrintV2"),
    Case("SIG204", "branch", serving(written_in_a_branch, price=FLOATS), "WriteFile"),
    Case("SIG204", "load", graph(table_of_this_machine), "opens a file at load"),
    Case(
        "SIG205",
        "namespace, in a function",
        edited(serving(negated, price=FLOATS), replaced("Neg", "Scann>Search")),
        "Scann>Search",
    ),
    Case(
        "SIG205",
        "beside the signature",
        edited(graph(beside_the_signature), replaced("Neg", "IO>KafkaReadableInit")),
        "IO>KafkaReadableInit",
    ),
    Case(
        "SIG205",
        "no namespace",
        edited(stateful(embedding), replaced("ResourceGather", "KvResourceGather")),
        "KvResourceGather",
    ),
    Case("SIG206", "function", serving(compiled, price=FLOATS), "PartitionedCall", severity="warning"),
    Case("SIG206", "loop", serving(compiled_in_a_loop, price=FLOATS), "PartitionedCall", severity="warning"),
)
