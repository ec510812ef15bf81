"""Computations that TensorFlow wrote in every form it has, each with the inputs that change its output, told by hand.

Every one takes the same three inputs, float32 [4]: a, b and m.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import tensorflow as tf

from signatures.reader import FILE

INPUTS = ("a", "b", "m")
COMPUTATIONS: Dict[str, Tuple[str, Callable[..., Any]]] = {}
"""Name -> the inputs that change the output, and the function of a, b, m."""


KEPT: Dict[str, Any] = {}
"""Variables and tables, made before anything is traced."""


def _make_kept() -> Dict[str, Any]:
    keys = tf.constant([0, 1, 2], tf.int64)
    values = tf.lookup.KeyValueTensorInitializer(keys, tf.constant([5.0, 6.0, 7.0]))
    return {
        "state": tf.Variable([0.0] * 4),
        "other": tf.Variable([0.0] * 4),
        "table": tf.lookup.StaticHashTable(values, -1.0),
        "mutable": tf.lookup.experimental.MutableHashTable(tf.int64, tf.float32, -1.0),
    }


def computation(changed_by: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Puts a function among the computations, with the letters of the inputs that change its output."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        COMPUTATIONS[function.__name__.rstrip("_")] = (changed_by, function)
        return function

    return add


@computation("am")
def product(a, b, m):
    return a * m


@computation("am")
def product_in_a_function(a, b, m):
    @tf.function
    def inner(x, y, z):
        return x * z, y

    return inner(a, b, m)[0]


@computation("b")
def other_output_of_a_function(a, b, m):
    @tf.function
    def inner(x, y, z):
        return x * z, y + 1.0

    return inner(a, b, m)[1]


@computation("abm")
def predicate(a, b, m):
    return tf.cond(tf.reduce_sum(m) > 2.0, lambda: a * 2.0, lambda: b)


@computation("a")
def predicate_of_equal_branches(a, b, m):
    return tf.cond(tf.reduce_sum(m) > 2.0, lambda: a, lambda: a)


@computation("abm")
def case(a, b, m):
    chosen = tf.cast(tf.reduce_sum(m), tf.int32) % 3
    return tf.switch_case(chosen, [lambda: a, lambda: b, lambda: a + b])


@computation("am")
def turns(a, b, m):
    limit = tf.cast(tf.reduce_sum(tf.abs(m)), tf.int32) + 1
    return tf.while_loop(lambda i, _: i < limit, lambda i, x: (i + 1, x + 1.0), (0, a))[1]


@computation("a")
def loop_beside_turns(a, b, m):
    limit = tf.cast(tf.reduce_sum(tf.abs(m)), tf.int32) + 1
    return tf.while_loop(lambda i, *_: i < limit, lambda i, x, y: (i + 1, x, y + 1.0), (0, a, b))[1]


@computation("abm")
def two_turns(a, b, m):
    def step(i, first, second, third):
        return i + 1, first + second, third, third

    return tf.while_loop(lambda i, *_: i < 3, step, (0, a, b, m))[1]


@computation("am")
def autograph(a, b, m):
    @tf.function
    def inner(x, y):
        total = x
        for cell in y:
            if cell > 1.0:
                total += cell
        return total

    return inner(a, m)


@computation("am")
def mapped(a, b, m):
    return tf.map_fn(lambda pair: pair[0] * pair[1], (a, m), fn_output_signature=tf.float32)


@computation("am")
def scanned(a, b, m):
    return tf.scan(lambda total, pair: total + pair[0] * pair[1], (a, m), initializer=0.0)


@computation("am")
def vectorised(a, b, m):
    return tf.vectorized_map(lambda pair: pair[0] * pair[1], (a, m))


@computation("am")
def tensor_array(a, b, m):
    written = tf.TensorArray(tf.float32, size=2).write(0, a).write(1, m)
    return written.stack()[1] + a


@computation("am")
def index(a, b, m):
    return tf.gather(a, tf.cast(tf.abs(m), tf.int32) % 4)


@computation("m")
def table(a, b, m):
    return KEPT["table"].lookup(tf.cast(m, tf.int64))


@computation("am")
def size_of_what_was_kept(a, b, m):
    """How many cells the mask keeps is the mask's value, seen through a shape."""
    return a + tf.cast(tf.shape(tf.boolean_mask(b, m > 1.0))[0], tf.float32)


@computation("am")
def ones_like_what_was_kept(a, b, m):
    return a + tf.reduce_sum(tf.ones_like(tf.boolean_mask(b, m > 1.0)))


@computation("am")
def size_in_a_function(a, b, m):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def rows(x):
        return tf.cast(tf.size(x), tf.float32)

    return a + rows(tf.boolean_mask(b, m > 1.0))


@computation("am")
def ones_of_a_length(a, b, m):
    return a + tf.reduce_sum(tf.ones([tf.cast(tf.reduce_sum(tf.abs(m)), tf.int32)]))


@computation("a")
def size_of_the_batch(a, b, m):
    return a + tf.cast(tf.shape(m * b)[0], tf.float32) + tf.reduce_sum(tf.zeros_like(m))


@computation("am")
def ragged(a, b, m):
    lengths = tf.cast(tf.abs(m), tf.int64) % 2
    rows = tf.RaggedTensor.from_row_lengths(tf.boolean_mask(a, lengths > 0), lengths)
    return tf.reduce_sum(rows, axis=1)


@computation("am")
def sparse(a, b, m):
    places = tf.where(m > 1.0)
    return tf.sparse.to_dense(tf.SparseTensor(places, tf.gather_nd(a, places), [4]))


@computation("am")
def variable(a, b, m):
    KEPT["state"].assign(m)
    return a + KEPT["state"]


@computation("a")
def another_variable(a, b, m):
    KEPT["state"].assign(m)
    return a + KEPT["other"]


@computation("am")
def mutable_table(a, b, m):
    keys = tf.range(4, dtype=tf.int64)
    KEPT["mutable"].insert(keys, m)
    return a + KEPT["mutable"].lookup(keys)


@computation("am")
def data_set(a, b, m):
    rows = tf.data.Dataset.from_tensor_slices((a, m)).map(lambda x, y: x * y)
    return rows.reduce(0.0, lambda total, x: total + x)


@computation("m")
def iterator(a, b, m):
    total = tf.constant(0.0)
    for cell in iter(tf.data.Dataset.from_tensor_slices(m)):
        total += cell
    return total


@computation("am")
def strings(a, b, m):
    return a + tf.strings.to_number(tf.strings.as_string(m))


@computation("am")
def gradient(a, b, m):
    with tf.GradientTape() as tape:
        tape.watch(a)
        value = tf.reduce_sum(a * a * m)
    return tape.gradient(value, a)


@computation("abm")
def compiled(a, b, m):
    return tf.function(lambda x, y, z: x * y + z, jit_compile=True)(a, b, m)


@computation("a")
def control_only(a, b, m):
    with tf.control_dependencies([tf.debugging.assert_greater(tf.reduce_sum(tf.abs(m)), -1.0)]):
        return tf.identity(a) * 2.0


@computation("abm")
def batched(a, b, m):
    return tf.nondifferentiable_batch_function(1, 8, 10)(lambda x, y, z: x * y + z)(a, b, m)


def save(folder: Path) -> Path:
    """All computations of TF2, each a signature of one SavedModel."""
    KEPT.update(_make_kept())
    module = tf.Module()
    module.kept = KEPT
    specs = [tf.TensorSpec([4], tf.float32, name) for name in INPUTS]
    signatures = {name: _signature(function, specs) for name, (_, function) in COMPUTATIONS.items()}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    KEPT.clear()
    return folder


def _signature(function: Callable[..., Any], specs: List[Any]) -> Any:
    traced = tf.function(lambda a, b, m: {"score": function(a, b, m)}, input_signature=specs)
    return traced.get_concrete_function()


TF1: Dict[str, Tuple[str, Callable[..., Any]]] = {}


def _tf1(changed_by: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        TF1[function.__name__] = (changed_by, function)
        return function

    return add


@_tf1("am")
def cond(a, b, m):
    return tf.cond(tf.reduce_sum(m) > 2.0, lambda: a, lambda: a * 2.0)


@_tf1("m")
def cond_of_constants(a, b, m):
    return tf.cond(tf.reduce_sum(m) > 2.0, lambda: tf.constant([1.0] * 4), lambda: tf.constant([2.0] * 4))


@_tf1("am")
def while_turns(a, b, m):
    limit = tf.cast(tf.reduce_sum(tf.abs(m)), tf.int32) + 1
    return tf.while_loop(lambda i, _: i < limit, lambda i, x: (i + 1, x + 1.0), (0, a))[1]


@_tf1("abm")
def while_two_turns(a, b, m):
    def step(i, first, second, third):
        return i + 1, first + second, third, third

    return tf.while_loop(lambda i, *_: i < 3, step, (0, a, b, m))[1]


@_tf1("am")
def cond_in_while(a, b, m):
    def step(i, x):
        return i + 1, tf.cond(m[i] > 1.0, lambda: x + 1.0, lambda: x)

    return tf.while_loop(lambda i, _: i < 4, step, (0, a))[1]


@_tf1("am")
def map_fn(a, b, m):
    return tf.map_fn(lambda pair: pair[0] * pair[1], (a, m), fn_output_signature=tf.float32)


@_tf1("am")
def scan(a, b, m):
    return tf.scan(lambda total, pair: total + pair[0] * pair[1], (a, m), initializer=0.0)


@_tf1("am")
def ref_variable(a, b, m):
    state = tf.compat.v1.get_variable("state", initializer=[0.0] * 4, use_resource=False)
    with tf.control_dependencies([tf.compat.v1.assign(state, m)]):
        return a + tf.identity(state)


@_tf1("am")
def queue(a, b, m):
    line = tf.queue.FIFOQueue(10, [tf.float32], shapes=[[4]])
    with tf.control_dependencies([line.enqueue(m)]):
        return a + line.dequeue()


@_tf1("a")
def printed(a, b, m):
    return tf.compat.v1.Print(a, [m]) * 2.0


@_tf1("am")
def python_function(a, b, m):
    return tf.compat.v1.py_func(lambda x, y: x * y, [a, m], tf.float32, stateful=False)


def save_tf1(folder: Path) -> Path:
    """The computations of TF1 in one graph, with its control flow: Switch, Merge, Enter, Exit, NextIteration."""
    v1 = tf.compat.v1
    v1.disable_control_flow_v2()
    try:
        with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
            inputs = {name: v1.placeholder(tf.float32, [4], name) for name in INPUTS}
            signatures = {}
            for name, (_, function) in TF1.items():
                score = function(*inputs.values())
                signatures[name] = v1.saved_model.predict_signature_def(inputs, {"score": score})
            session.run(v1.global_variables_initializer())
            builder = v1.saved_model.Builder(str(folder))
            builder.add_meta_graph_and_variables(session, ["serve"], signatures)
            builder.save()
    finally:
        v1.enable_control_flow_v2()
    assert (folder / FILE).is_file()
    return folder
