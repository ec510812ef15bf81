"""What looks like a defect and is none, in ways that recommenders are made."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Dict, Tuple

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from tests.lint_corpus.case import Clean
from tests.lint_corpus.files import looked_up, table_of_tf1
from tests.lint_corpus.outputs import tf1
from tests.lint_corpus.saving import (
    FLOATS,
    IDS,
    LISTS,
    TEXTS,
    VECTORS,
    Graph1,
    graph,
    named,
    placeholder,
    serving,
    signature,
    stateful,
    vocabulary,
)

HISTORY: Dict[str, tf.TensorSpec] = {"history": LISTS, "history_length": IDS}


def sequence_model(folder: Path) -> None:
    """Embedding, both normalisations, attention, a GRU, dropout, padding masks made in the graph; point and rank."""
    source = folder.with_name(folder.name + "-source")

    def make(module: Any) -> Dict[str, Any]:
        module.table = vocabulary(source)
        module.embedding = tf.Variable(tf.ones([8, 4]))
        module.layers = [keras.layers.LayerNormalization(), keras.layers.BatchNormalization()]
        module.dropout, module.gru = keras.layers.Dropout(0.5), keras.layers.GRU(4)
        module.attention = keras.layers.MultiHeadAttention(2, 4, dropout=0.1)
        # Traced with training=True: it is in the file, and no signature reaches it.
        module.train = tf.function(lambda x: module.dropout(module.layers[1](x, training=True), training=True))
        module.train(tf.ones([2, 3, 4]))

        def encode(history: Any, history_length: Any) -> Any:
            embedded = tf.gather(module.embedding, history % 8)
            normal = module.layers[1](module.layers[0](embedded), training=False)
            mask = tf.sequence_mask(history_length, tf.shape(history)[1])
            attended = module.attention(normal, normal, attention_mask=mask[:, None, :], training=False)
            return module.gru(module.dropout(attended, training=False), mask=mask)

        def score(user: Any, history: Any, history_length: Any) -> Any:
            rows = tf.gather(module.embedding, tf.maximum(module.table.lookup(user), 0))
            return named(score=tf.reduce_sum(rows * encode(history, history_length), axis=1))

        def rank(history: Any, history_length: Any, item: Any) -> Any:
            scores = tf.einsum("bd,bnd->bn", encode(history, history_length), tf.gather(module.embedding, item % 8))
            return named(score=scores, probability=tf.nn.softmax(scores))

        return {
            "serving_default": signature(score, user=TEXTS, **HISTORY),
            "rank": signature(rank, **HISTORY, item=LISTS),
        }

    stateful(make)(folder)
    shutil.rmtree(source)


def masked_mean(module: Any) -> Dict[str, Any]:
    module.embedding = tf.Variable(tf.ones([8, 4]))

    def score(history: Any, history_length: Any) -> Any:
        mask = tf.cast(tf.sequence_mask(history_length, tf.shape(history)[1]), tf.float32)
        total = tf.reduce_sum(tf.gather(module.embedding, history % 8) * mask[:, :, None], axis=1)
        return named(score=tf.reduce_sum(total, axis=1) / tf.maximum(tf.reduce_sum(mask, axis=1), 1.0))

    return {"serving_default": signature(score, **HISTORY)}


def innocent_names(face_mask_type: Any, label_count: Any, record_label_id: Any, item_weight_grams: Any) -> Any:
    return named(score=tf.cast(face_mask_type + label_count + record_label_id + item_weight_grams, tf.float32))


def ragged_mean(history: Any, history_length: Any) -> Any:
    rows = tf.RaggedTensor.from_tensor(history, lengths=history_length)
    return named(mean=tf.reduce_mean(tf.cast(rows, tf.float32), axis=1))


def ragged_input(module: Any) -> Dict[str, Any]:
    ragged = tf.RaggedTensorSpec([None, None], tf.int64, row_splits_dtype=tf.int64)
    total = tf.function(
        lambda history: named(score=tf.reduce_sum(tf.cast(history, tf.float32), axis=1)),
        input_signature=[ragged],
    )
    return {"serving_default": total}


def fixed_loop(price: Any) -> Any:
    total = price
    for step in tf.range(3):
        total = tf.cond(step > 1, lambda total=total: total, lambda total=total: total + 1.0)
    return named(score=total)


def layer_norms(module: Any) -> Dict[str, Any]:
    """Each rank takes another way through Keras 2, and all of them through FusedBatchNormV3(is_training=True)."""
    module.norms = [keras.layers.LayerNormalization(epsilon=1e-3) for _ in range(3)]

    def score(x: Any, history: Any) -> Any:
        pairs = tf.stack([history, history], axis=-1)
        summed = [module.norms[0](x), tf.reduce_sum(module.norms[1](pairs), 1), module.norms[2](pairs[:, :1])[:, 0]]
        return named(score=tf.concat(summed, axis=1))

    lists = tf.TensorSpec([None, None], tf.float32)
    return {"serving_default": signature(score, x=VECTORS, history=lists)}


def bucketised(module: Any) -> Dict[str, Any]:
    """A price becomes a row by division, by edges and by rounding of a logarithm: a bucket, no id."""
    module.rows = tf.Variable(tf.ones([9]))

    def score(price: Any, userid_count: Any) -> Any:
        tens = tf.cast(tf.floor(price / 10.0), tf.int64) % 9
        logs = tf.cast(tf.round(tf.math.log1p(userid_count)), tf.int64) % 9
        edges = tf.raw_ops.Bucketize(input=price, boundaries=[1.0, 5.0])
        return named(score=sum(tf.gather(module.rows, each) for each in (tens, logs, edges)))

    return {"serving_default": signature(score, price=FLOATS, userid_count=FLOATS)}


def catalogue(module: Any) -> Dict[str, Any]:
    """Reductions over the catalogue and over the wire's widest k, and a product with all items."""
    module.items = tf.Variable(tf.ones([5, 3]))

    def retrieve(query: Any, k: Any) -> Any:
        scores = tf.matmul(query, module.items - tf.reduce_mean(module.items, axis=0), transpose_b=True)
        found = tf.math.top_k(scores, tf.minimum(tf.reduce_max(k), 5))
        return named(score=found.values, position=found.indices)

    return {"serving_default": signature(retrieve, query=VECTORS, k=tf.TensorSpec([None], tf.int32))}


def brute_force(folder: Path) -> None:
    """TFRS' exact index over a query model."""
    query = keras.Sequential([keras.layers.StringLookup(vocabulary=["ann", "bob"]), keras.layers.Embedding(3, 4)])
    index = tfrs.layers.factorized_top_k.BruteForce(query, k=2)
    index.index(tf.ones([5, 4]), tf.constant(["a", "b", "c", "d", "e"]))
    index(tf.constant(["ann"]))
    tf.saved_model.save(index, str(folder))


def deep_model(folder: Path) -> None:
    """As DeepCTR makes them: embeddings, a deep part with dropout, saved by Keras with all its savers and traces."""
    inputs = {name: keras.Input([1], name=name, dtype="int32") for name in ("user_id", "item_id", "genre")}
    embedded = [keras.layers.Embedding(9, 4)(each) for each in inputs.values()]
    pairs = keras.layers.Dot(2)([embedded[0], embedded[1]])
    deep = keras.layers.Flatten()(keras.layers.Concatenate()(embedded))
    for _ in range(2):
        deep = keras.layers.Dropout(0.3)(keras.layers.BatchNormalization()(keras.layers.Dense(4, "relu")(deep)))
    logit = keras.layers.Dense(1)(keras.layers.Concatenate()([deep, keras.layers.Flatten()(pairs)]))
    keras.Model(inputs, {"score": keras.layers.Activation("sigmoid", name="score")(logit)}).save(
        folder, save_format="tf"
    )


def exported_keras(folder: Path) -> None:
    inputs = keras.Input([3], name="price")
    hidden = keras.layers.Dropout(0.5)(keras.layers.LayerNormalization()(inputs))
    keras.Model(inputs, keras.layers.Dense(1, name="score")(hidden)).export(str(folder))


def trained_and_left_behind(folder: Path) -> None:
    """Trained with a label and a weight by a step that the module keeps; its signature and its file know of neither."""
    module = tf.Module()
    module.weight = tf.Variable(1.0)
    optimizer = keras.optimizers.Adam(0.1)

    def step(price: Any, label: Any, sample_weight: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(module.weight * price - label) * sample_weight)
        optimizer.apply_gradients([(tape.gradient(loss, module.weight), module.weight)])

    tf.function(step)(tf.ones([2]), tf.zeros([2]), tf.ones([2]))
    serve = signature(lambda price: named(score=price * module.weight), price=FLOATS)
    tf.saved_model.save(module, str(folder), signatures=serve)


def training_branch_of_tf1() -> Graph1:
    """The graph of training, with labels, dropout, an optimizer step and a summary, all beside the signature."""
    price, label = placeholder("price"), placeholder("label")
    keep = tf.compat.v1.placeholder_with_default(1.0, [], name="keep_prob")
    weight = tf.compat.v1.get_variable("weight", [], tf.float32)
    logits = price * weight
    loss = tf.reduce_mean(tf.square(tf.nn.dropout(logits, rate=1.0 - keep) - label))
    tf.compat.v1.train.GradientDescentOptimizer(0.1).minimize(loss)
    tf.negative(tf.timestamp())
    return Graph1({"price": price}, {"score": tf.sigmoid(logits)})


def switch_of_tf1() -> Graph1:
    """Switch, Merge and a while loop with frames, on features alone."""
    tf.compat.v1.disable_control_flow_v2()
    try:
        price = placeholder("price")
        looped = tf.compat.v1.while_loop(lambda i, _: i < 3, lambda i, x: (i + 1, x + 1.0), (0, price))[1]
        return Graph1({"price": price}, {"score": tf.compat.v1.cond(price[0] > 0, lambda: looped, lambda: price)})
    finally:
        tf.compat.v1.enable_control_flow_v2()


def examples_of_tf1() -> Graph1:
    """A classifier as the estimators made it: serialized examples in, classes and scores out."""
    serialized = placeholder("inputs", tf.string)
    parsed = tf.compat.v1.io.parse_example(serialized, {"price": tf.io.FixedLenFeature([], tf.float32)})
    scores = tf.stack([parsed["price"], 1.0 - parsed["price"]], axis=1)
    classes = tf.tile(tf.constant([["no", "yes"]]), [tf.shape(serialized)[0], 1])
    return Graph1({"inputs": serialized}, {"scores": scores, "classes": classes}, method="tensorflow/serving/classify")


def sparse_of_tf1() -> Graph1:
    """A basket as a sparse tensor of any shape: three tensors under one name."""
    basket = tf.compat.v1.sparse_placeholder(tf.float32, name="basket")
    total = tf.ensure_shape(tf.reshape(tf.sparse.reduce_sum(basket, axis=1), [-1]), [None])
    return Graph1({"basket": basket}, {"score": total})


def pinned_to_cpu(price: Any) -> Any:
    with tf.device("/device:CPU:0"):
        return named(score=price * 2.0)


def printed_and_timed(price: Any) -> Any:
    """To the server's log, and of no influence on the answer."""
    tf.print("asked at", tf.timestamp(), price)
    return named(score=price * 2.0)


def noise_of_shape(price: Any) -> Any:
    """The random numbers are made and only counted."""
    noise = tf.random.uniform(tf.shape(price))
    return named(score=price * tf.cast(tf.size(noise), tf.float32))


def transposed_convolution(module: Any) -> Dict[str, Any]:
    """Runs forwards by an op that is named for the way back."""
    module.convolution = keras.layers.Conv1DTranspose(1, 2)
    body = lambda x: named(score=module.convolution(tf.stop_gradient(x)[:, :, None]))  # noqa: E731
    return {"serving_default": signature(body, x=VECTORS)}


def preprocessing(module: Any) -> Dict[str, Any]:
    """Keras' layers for raw values: statistics that were adapted, tables, hashes, edges."""
    normal, text = keras.layers.Normalization(axis=None), keras.layers.StringLookup(vocabulary=["ann", "bob"])
    normal.adapt(np.array([1.0, 2.0, 4.0], np.float32))
    module.layers = [normal, text, keras.layers.Hashing(9), keras.layers.Discretization([1.0, 5.0])]
    module.rows = keras.layers.Embedding(9, 1)

    def score(price: Any, name: Any) -> Any:
        ids = [module.layers[1](name), module.layers[2](name), tf.cast(module.layers[3](price), tf.int64)]
        return named(score=module.layers[0](price) + sum(module.rows(each)[:, 0] for each in ids))

    return {"serving_default": signature(score, price=FLOATS, name=TEXTS)}


def row_by_row(x: Any) -> Any:
    """Reductions over the first axis, of a row: in the loop of map_fn, and vectorised."""
    mapped = tf.map_fn(lambda row: row - tf.reduce_mean(row, axis=0), x)
    return named(score=mapped, vectorised=tf.vectorized_map(lambda row: row[0] * tf.reduce_sum(row), x))


def large_variable(module: Any) -> Dict[str, Any]:
    """What is too large for a constant, where it belongs."""
    module.rows = tf.Variable(np.arange(2_600_000, dtype=np.float32))
    return {"serving_default": signature(lambda id: named(score=tf.gather(module.rows, id)), id=IDS)}


def echo(colour: Any, price: Any) -> Any:
    return named(colour=colour, score=tf.zeros_like(price) * price)


CLEAN: Tuple[Clean, ...] = (
    Clean(
        "sequence model",
        sequence_model,
        (
            "SIG101",
            "SIG107",
            "SIG109",
            "SIG202",
            "SIG203",
            "SIG204",
            "SIG207",
            "SIG301",
            "SIG302",
            "SIG303",
            "SIG304",
        ),
        features=("user", "item", *HISTORY),
        training_only=("mask", "label"),
    ),
    Clean("padding mask", stateful(masked_mean), ("SIG101", "SIG109")),
    Clean(
        "innocent names",
        serving(
            innocent_names,
            **dict.fromkeys(("face_mask_type", "label_count", "record_label_id", "item_weight_grams"), IDS),
        ),
        ("SIG101", "SIG104", "SIG112"),
    ),
    Clean(
        "declared mask",
        serving(lambda price, mask: named(score=price * mask), price=FLOATS, mask=FLOATS),
        ("SIG101", "SIG102"),
        features=("price", "mask"),
    ),
    Clean("ragged within", serving(ragged_mean, **HISTORY), ("SIG101", "SIG109", "SIG115", "SIG212")),
    Clean("ragged input", stateful(ragged_input), ("SIG107", "SIG109", "SIG115")),
    Clean("loop over a fixed range", serving(fixed_loop, price=FLOATS), ("SIG101", "SIG113")),
    Clean("LayerNormalization", stateful(layer_norms), ("SIG109", "SIG203", "SIG207")),
    Clean("buckets", stateful(bucketised), ("SIG112",)),
    Clean("catalogue", stateful(catalogue), ("SIG109", "SIG115", "SIG207")),
    Clean("TFRS BruteForce", brute_force, ("SIG107", "SIG109", "SIG302", "SIG303")),
    Clean("deep Keras model", deep_model, ("SIG105", "SIG202", "SIG203", "SIG204", "SIG207", "SIG303")),
    Clean("export of Keras", exported_keras, ("SIG101", "SIG202", "SIG207", "SIG303")),
    Clean("training left behind", trained_and_left_behind, ("SIG101", "SIG203", "SIG211", "SIG303")),
    Clean(
        "training beside it, TF1",
        graph(training_branch_of_tf1),
        (
            "SIG101",
            "SIG103",
            "SIG104",
            "SIG202",
            "SIG203",
            "SIG210",
            "SIG211",
        ),
    ),
    Clean("switches and frames, TF1", graph(switch_of_tf1), ("SIG101", "SIG109", "SIG113")),
    Clean("classifier, TF1", graph(examples_of_tf1), ("SIG103", "SIG110", "SIG113")),
    Clean("sparse, TF1", graph(sparse_of_tf1), ("SIG103", "SIG104", "SIG113", "SIG115")),
    Clean("plain, TF1", graph(tf1), ("SIG105", "SIG106", "SIG108", "SIG110", "SIG111", "SIG114", "SIG304")),
    Clean("tables, TF1", graph(table_of_tf1("first")), ("SIG204", "SIG302")),
    Clean("table of an asset", looked_up, ("SIG201", "SIG204", "SIG205", "SIG301", "SIG302")),
    Clean("CPU", serving(pinned_to_cpu, price=FLOATS), ("SIG206", "SIG208")),
    Clean("log", serving(printed_and_timed, price=FLOATS), ("SIG201", "SIG204", "SIG210")),
    Clean("noise of which the size counts", serving(noise_of_shape, price=FLOATS), ("SIG202",)),
    Clean("transposed convolution", stateful(transposed_convolution), ("SIG211", "SIG212")),
    Clean("preprocessing layers", stateful(preprocessing), ("SIG112", "SIG204", "SIG302")),
    Clean("row by row", serving(row_by_row, x=tf.TensorSpec([None, None], tf.float32)), ("SIG109", "SIG207")),
    Clean("large variable", stateful(large_variable), ("SIG209", "SIG304")),
    Clean("echo", serving(echo, colour=IDS, price=FLOATS), ("SIG104", "SIG113")),
)
