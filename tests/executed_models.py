"""Real models for the linter's second step: what runs wrong, and what only looks like it. One signature each."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Callable, Dict, Optional

import tensorflow as tf

Function = Callable[..., Dict[str, Any]]


def number(name: str, *shape: Optional[int], dtype: Any = tf.float32) -> Any:
    """An input [B, *shape]."""
    return tf.TensorSpec([None, *shape], dtype, name)


def save(folder: Path, function: Function, *specs: Any, **parts: Any) -> Path:
    """Exports a function of these inputs; `parts` are the variables and tables that it uses."""
    module = tf.Module()
    for name, part in parts.items():
        setattr(module, name, part)
    module.serve = tf.function(function, input_signature=specs)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    return folder


def save_tf1(folder: Path, build: Callable[[Dict[str, Any]], Dict[str, Any]], **specs: Any) -> Path:
    """Exports a graph as TensorFlow 1 does: placeholders, variables in a session, tables by an init op."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        inputs = {name: v1.placeholder(spec.dtype, spec.shape, name) for name, spec in specs.items()}
        outputs = build(inputs)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(folder), inputs, outputs, legacy_init_op=v1.tables_initializer())
    return folder


IDS = tf.int64
LISTS = (number("history", None, dtype=IDS), number("history_length", dtype=IDS))
PRICE = number("price")


def embedding(rows: int = 20, width: int = 3) -> Any:
    """A table of distinct rows, none of them zero."""
    return tf.Variable(tf.reshape(tf.range(1.0, rows * width + 1), [rows, width]) / 10.0)


def in_batch_softmax(folder: Path) -> Path:
    return save(folder, lambda price: {"score": tf.nn.softmax(price)}, PRICE)


def batch_statistics(folder: Path) -> Path:
    """Normalised over the batch, inside a function that is called in a branch."""

    @tf.function
    def normalised(x: Any) -> Any:
        mean, variance = tf.nn.moments(x, [0])
        return (x - mean) / tf.sqrt(variance + 1e-3)

    def serve(x: Any) -> Dict[str, Any]:
        chosen = tf.cond(tf.shape(x)[0] > 0, lambda: normalised(x), lambda: x)
        return {"score": tf.reduce_sum(chosen * [1.0, 2.0, 3.0], 1)}

    return save(folder, serve, number("x", 3))


def neighbours_in_tf1(folder: Path) -> Path:
    """Each row is scored against the largest price of the batch, in a TF1 graph."""
    return save_tf1(folder, lambda given: {"score": given["price"] / tf.reduce_max(given["price"])}, price=PRICE)


def row_wise_softmax(folder: Path) -> Path:
    return save(folder, lambda x: {"score": tf.nn.softmax(x, -1)[:, 0]}, number("x", 5))


def mask_from_ids(folder: Path) -> Path:
    table = embedding()

    def serve(history: Any, history_length: Any) -> Dict[str, Any]:
        present = tf.cast(history != 0, tf.float32)[..., tf.newaxis]
        summed = tf.reduce_sum(tf.gather(table, history) * present, [1, 2])
        return {"score": summed / tf.cast(1 + history_length, tf.float32)}

    return save(folder, serve, *LISTS, table=table)


def mean_over_padding(folder: Path) -> Path:
    table = embedding()

    def serve(history: Any, history_length: Any) -> Dict[str, Any]:
        last = tf.gather(history, tf.maximum(history_length - 1, 0), batch_dims=1)
        everything = tf.reduce_mean(tf.gather(table, history), [1, 2])
        return {"score": everything + tf.cast(last, tf.float32)}

    return save(folder, serve, *LISTS, table=table)


def mask_from_length(folder: Path) -> Path:
    """What a padding mask should be; and an output for each cell, whose padding is nobody's concern."""
    table = embedding()

    def serve(history: Any, history_length: Any) -> Dict[str, Any]:
        mask = tf.sequence_mask(history_length, tf.shape(history)[1], tf.float32)
        vectors = tf.gather(table, tf.math.floormod(history, 20))
        pooled = tf.math.divide_no_nan(tf.reduce_sum(vectors[..., 0] * mask, 1), tf.reduce_sum(mask, 1))
        return {"score": pooled, "cells": vectors[..., 1]}

    return save(folder, serve, *LISTS, table=table)


def live_dropout(folder: Path) -> Path:
    return save(folder, lambda price: {"score": tf.nn.dropout(price, 0.5)}, PRICE)


def counter(folder: Path) -> Path:
    calls = tf.Variable(0.0)
    return save(folder, lambda price: {"score": price + calls.assign_add(1.0)}, PRICE, calls=calls)


def clock(folder: Path) -> Path:
    return save(folder, lambda price: {"score": tf.cast(price, tf.float64) + tf.timestamp()}, PRICE)


def mean_of_nothing(folder: Path) -> Path:
    def serve(history: Any, history_length: Any) -> Dict[str, Any]:
        mask = tf.sequence_mask(history_length, tf.shape(history)[1], tf.float32)
        return {"score": tf.reduce_sum(tf.cast(history, tf.float32) * mask, 1) / tf.reduce_sum(mask, 1)}

    return save(folder, serve, *LISTS)


def logarithm(folder: Path) -> Path:
    return save(folder, lambda price: {"score": tf.math.log(price)}, PRICE)


def overflow(folder: Path) -> Path:
    return save(folder, lambda price: {"score": tf.math.log(1.0 + tf.exp(price))}, PRICE)


def softplus(folder: Path) -> Path:
    return save(folder, lambda price: {"score": tf.math.softplus(price)}, PRICE)


def bare_gather(folder: Path) -> Path:
    table = embedding()
    serve = lambda user_id: {"score": tf.reduce_sum(tf.gather(table, user_id), -1)}  # noqa: E731
    return save(folder, serve, number("user_id", dtype=IDS), table=table)


def table_of(*words: str, missing: int) -> Any:
    keys, values = tf.constant(words), tf.range(len(words), dtype=tf.int64)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), missing)


def word_without_a_row(folder: Path) -> Path:
    words, table = table_of("a", "b", "1", "2", missing=-1), embedding()
    serve = lambda city: {"score": tf.reduce_sum(tf.gather(table, words.lookup(city)), -1)}  # noqa: E731
    return save(folder, serve, number("city", dtype=tf.string), words=words, table=table)


def word_with_a_row(folder: Path) -> Path:
    words, table = table_of("a", "b", "1", "2", missing=4), embedding()
    serve = lambda city: {"score": tf.reduce_sum(tf.gather(table, words.lookup(city)), -1)}  # noqa: E731
    return save(folder, serve, number("city", dtype=tf.string), words=words, table=table)


def some_rows(folder: Path) -> Path:
    return save(folder, lambda price: {"score": tf.boolean_mask(price, price > 1.0)}, PRICE)


def squeezed(folder: Path) -> Path:
    return save(folder, lambda x: {"score": tf.squeeze(tf.reduce_sum(x, 1, keepdims=True))}, number("x", 3))


def distinct(folder: Path) -> Path:
    return save(folder, lambda ids: {"seen": tf.unique(ids).y}, number("ids", dtype=IDS))


def times_zero(folder: Path) -> Path:
    return save(folder, lambda price, age: {"score": price + age * 0.0}, PRICE, number("age"))


def cancelled_label(folder: Path) -> Path:
    """The label takes part in a branch that no batch takes."""

    def serve(price: Any, label: Any) -> Dict[str, Any]:
        return {"score": tf.cond(tf.size(price) < 0, lambda: price * label, lambda: price)}

    return save(folder, serve, PRICE, number("label"))


def faint_feature(folder: Path) -> Path:
    """It counts, if only for large values."""
    serve = lambda price, age: {"score": price + tf.nn.relu(age - 90.0) * 1e-3}  # noqa: E731
    return save(folder, serve, PRICE, number("age"))


def endless_loop(folder: Path) -> Path:
    def serve(price: Any) -> Dict[str, Any]:
        turns = tf.while_loop(lambda i: i >= 0.0, lambda i: (i + 1.0) % 7.0, [tf.reduce_max(tf.abs(price))])
        return {"score": price + turns[0]}

    return save(folder, serve, PRICE)


def empty_table_in_tf1(folder: Path) -> Path:
    """A table that nobody fills."""

    def build(given: Dict[str, Any]) -> Dict[str, Any]:
        handle = tf.raw_ops.HashTableV2(key_dtype=tf.int64, value_dtype=tf.float32, shared_name="cities")
        found = tf.raw_ops.LookupTableFindV2(table_handle=handle, keys=given["city"], default_value=0.0)
        return {"score": found}

    return save_tf1(folder, build, city=number("city", dtype=IDS))


def parses_examples(folder: Path) -> Path:
    """Its input is serialized: the features are in the graph."""

    def serve(examples: Any) -> Dict[str, Any]:
        found = tf.io.parse_example(
            examples,
            {
                "age": tf.io.FixedLenFeature([2], tf.float32),
                "genres": tf.io.VarLenFeature(tf.int64),
                "city": tf.io.FixedLenFeature([], tf.string),
            },
        )
        genres = tf.sparse.to_dense(found["genres"], default_value=0)
        hashed = tf.strings.to_hash_bucket_fast(found["city"], 10)
        return {
            "score": tf.reduce_sum(found["age"], 1)
            + tf.cast(tf.reduce_sum(genres, 1), tf.float32)
            + tf.cast(hashed, tf.float32)
        }

    return save(folder, serve, number("examples", dtype=tf.string))


def sparse_and_ragged(folder: Path) -> Path:
    """Inputs of several tensors."""

    def serve(words: Any, ids: Any) -> Dict[str, Any]:
        counted = tf.sparse.reduce_sum(words, 1)
        return {"score": tf.reshape(counted, [-1]) + tf.cast(tf.reduce_sum(ids, 1), tf.float32)}

    return save(folder, serve, tf.SparseTensorSpec([None, 4], tf.float32), tf.RaggedTensorSpec([None, None], tf.int64))


def writes_a_file(folder: Path) -> Path:
    """It leaves a file beside itself."""
    target = str(folder.parent / "written.txt")

    def serve(price: Any) -> Dict[str, Any]:
        tf.io.write_file(target, "here")
        return {"score": price}

    return save(folder, serve, PRICE)


def talks(folder: Path) -> Path:
    """It prints to both streams, and what it prints looks like an event."""

    def serve(price: Any) -> Dict[str, Any]:
        tf.print('{"done": true}', output_stream=sys.stdout)
        tf.print('{"finding": {}}', output_stream=sys.stderr)
        return {"score": price}

    return save(folder, serve, PRICE)


def half_precision(folder: Path) -> Path:
    """bfloat16 inside and out: numpy knows no such type."""
    weights = tf.Variable(tf.cast([[0.5], [0.25], [2.0]], tf.bfloat16))
    serve = lambda x: {"score": tf.matmul(tf.cast(x, tf.bfloat16), weights)[:, 0]}  # noqa: E731
    return save(folder, serve, number("x", 3), weights=weights)


def scalars_and_fixed(folder: Path) -> Path:
    """Not batched at all: nothing can be said of rows."""

    def serve(price: Any, k: Any) -> Dict[str, Any]:
        return {"score": price * tf.cast(k, tf.float32), "version": tf.constant("7")}

    return save(folder, serve, tf.TensorSpec([3], tf.float32, "price"), tf.TensorSpec([], tf.int32, "k"))


def unknown_rank(folder: Path) -> Path:
    return save(folder, lambda price: {"score": price * 2.0}, tf.TensorSpec(None, tf.float32, "price"))


def without_variables(folder: Path) -> Path:
    """Its variables did not come along."""
    bare_gather(folder)
    for file in (folder / "variables").glob("variables.data*"):
        file.unlink()
    return folder


def keras_layers(folder: Path) -> Path:
    """What normalises row by row, or with what training has left: nothing of it mixes rows."""
    import tf_keras as keras

    normal = keras.initializers.RandomNormal(seed=3)
    layers = [
        keras.layers.Dense(8, kernel_initializer=normal),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5),
        keras.layers.LayerNormalization(),
        keras.layers.Dense(1, kernel_initializer=normal),
    ]
    sequence = keras.layers.GRU(3, kernel_initializer=normal, recurrent_initializer=normal)

    def serve(x: Any, steps: Any) -> Dict[str, Any]:
        for layer in layers:
            x = layer(x, training=False) if isinstance(layer, keras.layers.Dropout) else layer(x)
        return {"score": x[:, 0] + tf.reduce_sum(sequence(steps), 1)}

    specs = (number("x", 4), number("steps", 5, 2))
    serve(tf.zeros([2, 4]), tf.zeros([2, 5, 2]))
    return save(folder, serve, *specs, layers=layers, sequence=sequence)


def validates(folder: Path) -> Path:
    """It refuses what it says it refuses."""

    def serve(count: Any) -> Dict[str, Any]:
        tf.debugging.assert_non_negative(count)
        return {"score": tf.math.log1p(tf.cast(count, tf.float32))}

    return save(folder, serve, number("count", dtype=IDS))


def sparse_ids(folder: Path) -> Path:
    """Ids are far apart: row = id / 1,000,000, for multiples of it."""
    rows = tf.Variable([0.0, 1.0, 2.0, 3.0])

    def serve(item_id: Any) -> Dict[str, Any]:
        known = tf.logical_and(item_id > 0, item_id % 1_000_000 == 0)
        return {"score": tf.gather(rows, tf.where(known, item_id // 1_000_000, 100))}

    return save(folder, serve, number("item_id", dtype=IDS), rows=rows)


def calls_python(folder: Path) -> Path:
    def serve(price: Any) -> Dict[str, Any]:
        return {"score": tf.numpy_function(lambda x: x, [price], tf.float32)}

    return save(folder, serve, PRICE)


def words_of_a_file(folder: Path) -> Path:
    """A vocabulary in the assets: none of its words would be guessed, and each counts."""
    source = folder.with_name(folder.name + "-cities.txt")
    source.write_text("Ulm\nBonn\nCelle\n", encoding="utf-8")
    words, table = (
        tf.lookup.StaticVocabularyTable(
            tf.lookup.TextFileInitializer(
                str(source),
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            1,
        ),
        embedding(),
    )
    serve = lambda city: {"score": tf.reduce_sum(tf.gather(table, words.lookup(city)), -1)}  # noqa: E731
    return save(folder, serve, number("city", dtype=tf.string), words=words, table=table)


def far_ids(folder: Path) -> Path:
    """A table of ids that nobody would guess, as constants in the graph."""
    keys = tf.constant([900_000_001, 900_000_002, 900_000_003], tf.int64)
    rows = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, tf.constant([1.0, 2.0, 3.0])), 0.0)
    return save(folder, lambda item: {"score": rows.lookup(item)}, number("item", dtype=IDS), rows=rows)


def far_words(folder: Path) -> Path:
    """A text that is hashed and compared with one number: no made-up text hits it, which proves nothing."""
    wanted = tf.strings.to_hash_bucket_fast(tf.constant("Winsen"), 2**40)
    equal = lambda city: tf.equal(tf.strings.to_hash_bucket_fast(city, 2**40), wanted.numpy())  # noqa: E731
    return save(folder, lambda city: {"score": tf.cast(equal(city), tf.float32)}, number("city", dtype=tf.string))


def validates_strictly(folder: Path) -> Path:
    """No made-up request is good enough for it, and it says so."""

    def serve(count: Any) -> Dict[str, Any]:
        tf.debugging.assert_greater(count, tf.constant(10**6, IDS))
        return {"score": tf.cast(count, tf.float32)}

    return save(folder, serve, number("count", dtype=IDS))
