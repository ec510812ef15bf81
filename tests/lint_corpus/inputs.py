"""SIG101, 102, 103, 104, 112, 115: what a signature takes."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import tensorflow as tf
import tf_keras as keras

from tests.lint_corpus.case import Case
from tests.lint_corpus.saving import FLOATS, IDS, TEXTS, Graph1, graph, named, placeholder, serving, signature, stateful

PAIR: Dict[str, tf.TensorSpec] = {"price": FLOATS, "mask": FLOATS}


def product(price: Any, mask: Any) -> Any:
    return named(score=price * mask)


def in_a_function(price: Any, mask: Any) -> Any:
    inner = tf.function(lambda x, gate: {"kept": x, "gated": x * gate})(price, mask)
    return named(kept=inner["kept"], score=tf.nn.sigmoid(inner["gated"]))


def predicate(price: Any, mask: Any) -> Any:
    return named(score=tf.cond(tf.reduce_sum(mask) > 0, lambda: price * 2.0, lambda: price))


def turns(price: Any, mask: Any) -> Any:
    count = tf.cast(tf.reduce_sum(mask), tf.int32)
    return named(score=tf.while_loop(lambda i, _: i < count, lambda i, x: (i + 1, x + 1.0), (0, price))[1])


def second_turn(price: Any, mask: Any) -> Any:
    """The mask is in the third variable of the loop, and needs two turns to the first."""
    body = lambda i, first, second, third: (i + 1, second, third, third)  # noqa: E731
    return named(score=tf.while_loop(lambda i, *_: i < 3, body, (0, price, price, mask))[1])


def index(module: Any) -> Dict[str, Any]:
    module.weight = tf.Variable([1.0, 2.0, 3.0])
    body = lambda price, mask: named(score=price + tf.gather(module.weight, mask))  # noqa: E731
    return {"serving_default": signature(body, price=FLOATS, mask=IDS)}


def mapped(price: Any, mask: Any) -> Any:
    return named(score=tf.map_fn(lambda pair: pair[0] + pair[1], (price, mask), fn_output_signature=tf.float32))


def fill(price: Any, mask: Any) -> Any:
    return named(score=price + tf.reduce_sum(tf.ones([mask[0]])))


def through_a_variable(module: Any) -> Dict[str, Any]:
    module.state = tf.Variable([0.0], shape=[None])

    def score(price: Any, mask: Any) -> Any:
        module.state.assign(mask)
        return named(score=price + module.state)

    return {"serving_default": signature(score, **PAIR)}


def chosen(price: Any, mask: Any) -> Any:
    branches = {0: lambda: price, 1: lambda: price + 1.0, 2: lambda: price + 2.0}
    return named(score=tf.switch_case(tf.cast(mask[0], tf.int32), branches))


def scanned(price: Any, mask: Any) -> Any:
    return named(score=tf.scan(lambda total, pair: total + pair[0] * pair[1], (price, mask), tf.constant(0.0)))


def looked_up(module: Any) -> Dict[str, Any]:
    initializer = tf.lookup.KeyValueTensorInitializer(["yes", "no"], [1.0, 0.0])
    module.table = tf.lookup.StaticHashTable(initializer, 0.0)
    body = lambda price, mask: named(score=price * module.table.lookup(mask))  # noqa: E731
    return {"serving_default": signature(body, price=FLOATS, mask=TEXTS)}


def renamed_tensor() -> Graph1:
    price, weights = placeholder("price"), placeholder("sample_weights")
    return Graph1({"price": price, "context": weights}, {"score": price * weights})


def attention_of_keras(module: Any) -> Dict[str, Any]:
    """The mask is inside a layer, two functions down, where it multiplies nothing: it chooses."""
    module.dense = keras.layers.Dense(1)
    inputs = {"price": keras.Input([1], name="price"), "click_mask": keras.Input([1], name="click_mask")}
    logits = keras.layers.Lambda(lambda pair: tf.where(pair[1] > 0, pair[0], -1e9))(
        [module.dense(inputs["price"]), inputs["click_mask"]]
    )
    module.model = keras.Model(inputs, logits)
    specs = {name: tf.TensorSpec([None, 1], tf.float32) for name in inputs}
    call = lambda price, click_mask: named(score=module.model({"price": price, "click_mask": click_mask}))  # noqa: E731
    return {"serving_default": signature(call, **specs)}


def renamed_in_a_branch(price: Any, gate: Any) -> Any:
    scaled = tf.function(lambda x, w: tf.cond(x[0] > 0, lambda: x * w, lambda: x))
    return named(score=scaled(price, gate))


def keep_prob() -> Graph1:
    price, keep = placeholder("price"), placeholder("keep_prob", shape=())
    return Graph1({"price": price}, {"score": tf.compat.v1.nn.dropout(price, rate=0.0) / keep})


def awaited_label() -> Graph1:
    """The label reaches no value, and is needed all the same: it stands before the answer."""
    price, label = placeholder("price"), placeholder("y_true")
    with tf.control_dependencies([label]):
        return Graph1({"price": price}, {"score": tf.identity(price * 2.0)})


def default_rate() -> Graph1:
    price = placeholder("price")
    rate = tf.compat.v1.placeholder_with_default(0.5, [], name="dropout_rate")
    return Graph1({"price": price}, {"score": price * (1.0 - rate)})


def only_its_shape(price: Any, colour: Any) -> Any:
    return named(score=price + tf.cast(tf.size(tf.zeros_like(colour)) * 0, tf.float32))


def dropped_by_both_branches(price: Any, label: Any) -> Any:
    take = lambda x, y: tf.cond(x[0] > 0, lambda: (x, y), lambda: (x * 2.0, y))  # noqa: E731
    return named(score=tf.function(take)(price, label)[0])


def embedded_float(module: Any) -> Dict[str, Any]:
    module.rows = tf.Variable(tf.ones([9]))
    inner = tf.function(lambda x: tf.gather(module.rows, tf.cast(tf.reshape(x, [-1]), tf.int64) % 9))
    return {"serving_default": signature(lambda member: named(score=inner(member)), member=FLOATS)}


def float_row_by_row(module: Any) -> Dict[str, Any]:
    """The cast is within the loop of map_fn."""
    module.rows = tf.Variable(tf.ones([9]))
    row = lambda each: tf.gather(module.rows, tf.cast(each, tf.int32))  # noqa: E731
    body = lambda member: named(score=tf.map_fn(row, member, fn_output_signature=tf.float32))  # noqa: E731
    return {"serving_default": signature(body, member=FLOATS)}


def float_as_text(module: Any) -> Dict[str, Any]:
    initializer = tf.lookup.KeyValueTensorInitializer(["1", "2"], [1.0, 2.0])
    module.table = tf.lookup.StaticHashTable(initializer, 0.0)
    body = lambda member: named(score=module.table.lookup(tf.strings.as_string(tf.round(member))))  # noqa: E731
    return {"serving_default": signature(body, member=FLOATS)}


FEATURES = ("price", "path")
SCALAR = tf.TensorSpec([], tf.int32)

CASES: Tuple[Case, ...] = (
    Case("SIG101", "product", serving(product, **PAIR), "'mask' changes output 'score' at Mul"),
    Case("SIG101", "in a function", serving(in_a_function, **PAIR), "'mask' changes output 'score' at Mul"),
    Case("SIG101", "predicate", serving(predicate, **PAIR), "'mask'"),
    Case("SIG101", "turns of a loop", serving(turns, **PAIR), "'mask'"),
    Case("SIG101", "second turn of a loop", serving(second_turn, **PAIR), "'mask'"),
    Case("SIG101", "gather index", stateful(index), "'mask' changes output 'score' at ResourceGather"),
    Case("SIG101", "map_fn", serving(mapped, **PAIR), "'mask'"),
    Case("SIG101", "scan", serving(scanned, **PAIR), "'mask'"),
    Case("SIG101", "shape", serving(fill, price=FLOATS, mask=IDS), "'mask'"),
    Case("SIG101", "variable", stateful(through_a_variable), "through a variable", also=("SIG203",)),
    Case("SIG101", "switch_case", serving(chosen, **PAIR), "'mask'"),
    Case("SIG101", "table", stateful(looked_up), "'mask' changes output 'score' at LookupTableFindV2"),
    Case("SIG101", "key unlike its tensor", graph(renamed_tensor), "'context'"),
    Case("SIG101", "layer of Keras", stateful(attention_of_keras), "'click_mask'", severity="warning"),
    Case(
        "SIG101",
        "declared",
        serving(lambda price, gate: product(price, gate), price=FLOATS, gate=FLOATS),
        "'gate' changes output 'score' at Mul",
        training_only=("gate",),
    ),
    Case(
        "SIG102",
        "renamed mask",
        serving(lambda price, gate: product(price, gate), price=FLOATS, gate=FLOATS),
        "'gate' changes output 'score' at Mul",
        features=FEATURES,
    ),
    Case(
        "SIG102",
        "branch of a function",
        serving(renamed_in_a_branch, price=FLOATS, gate=FLOATS),
        "'gate'",
        features=FEATURES,
    ),
    Case(
        "SIG102",
        "gather index",
        serving(lambda price, row: named(score=tf.gather(price, row)), price=FLOATS, row=IDS),
        "'row' changes output 'score' at GatherV2",
        features=FEATURES,
    ),
    Case("SIG103", "keep_prob", graph(keep_prob), "Placeholder 'keep_prob'"),
    Case("SIG103", "control input", graph(awaited_label), "Placeholder 'y_true'"),
    Case("SIG103", "with a default", graph(default_rate), "'dropout_rate'", severity="warning"),
    Case(
        "SIG104",
        "label",
        serving(lambda price, label: named(score=price * 2.0), price=FLOATS, label=FLOATS),
        "'label' is no feature",
    ),
    Case("SIG104", "shape only", serving(only_its_shape, price=FLOATS, colour=IDS), "'colour'", severity="warning"),
    Case("SIG104", "dropped by a branch", serving(dropped_by_both_branches, price=FLOATS, label=FLOATS), "'label'"),
    Case("SIG112", "embedding", stateful(embedded_float), "ResourceGather", severity="warning"),
    Case("SIG112", "loop", stateful(float_row_by_row), "'member' is float32 and looked up at", severity="warning"),
    Case("SIG112", "text", stateful(float_as_text), "LookupTableFindV2", severity="warning"),
    Case(
        "SIG112",
        "name",
        serving(lambda userId: named(score=userId * 2.0), userId=FLOATS),
        "'userId'",
        severity="warning",
    ),
    Case(
        "SIG115",
        "one k for all",
        serving(lambda price, k: named(score=price[:, None] * tf.ones([1, k])), price=FLOATS, k=SCALAR),
        "'k' is a scalar",
        severity="warning",
    ),
    Case(
        "SIG115",
        "fixed batch",
        serving(
            lambda price: named(score=tf.unstack(price)[0] + tf.zeros([tf.size(price)])),
            price=tf.TensorSpec([4], tf.float32),
        ),
        "'price' always has 4 rows",
        severity="warning",
        also=("SIG107",),
    ),
    Case(
        "SIG115",
        "unknown rank",
        serving(lambda price: named(score=tf.reshape(price, [-1])), price=tf.TensorSpec(None, tf.float32)),
        "'price' has an unknown rank",
        severity="warning",
    ),
)
