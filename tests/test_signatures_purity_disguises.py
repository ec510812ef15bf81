"""The proof of purity on real graphs: leaks and inert masks in every disguise, and what only looks like one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import pytest
import tensorflow as tf

from signatures.purity import prove

Tensors = Dict[str, Any]
Graph = Callable[[Tensors], Tensors]

NAMES = ("features/price", "labels/click", "masks/click", "sample_weights/click")


def save(folder: Path, graph: Graph, names: Tuple[str, ...] = NAMES, **parts: Any) -> Path:
    """A training graph whose inputs are float32 [B]; `graph` is given them without the part before the slash's name."""
    module = tf.Module()
    for name, part in parts.items():
        setattr(module, name, part)
    specs = [tf.TensorSpec([None], tf.float32, name) for name in names]
    module.graph = tf.function(lambda *given: graph(dict(zip(names, given))), input_signature=specs)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.graph})
    return folder


def loss(given: Tensors, prediction: Any) -> Any:
    """Squared error, masked and weighted."""
    weight = given["masks/click"] * given["sample_weights/click"]
    return tf.reduce_sum(weight * (given["labels/click"] - prediction) ** 2) / tf.maximum(tf.reduce_sum(weight), 1.0)


def answers(given: Tensors, prediction: Any) -> Tensors:
    return {"loss": loss(given, prediction), "predictions/click": prediction}


def pure(given: Tensors) -> Tensors:
    return answers(given, given["features/price"] * 0.5)


def product(given: Tensors) -> Tensors:
    return answers(given, given["features/price"] * given["masks/click"])


def branch(given: Tensors) -> Tensors:
    """The label chooses what is computed from the feature."""
    price = given["features/price"]
    chosen = tf.cond(tf.reduce_any(given["labels/click"] > 0.5), lambda: price * 2.0, lambda: price)
    return answers(given, chosen)


def turns(given: Tensors) -> Tensors:
    """The weight says how often a loop turns."""
    most = tf.cast(tf.reduce_max(given["sample_weights/click"]), tf.int32)
    start = (tf.constant(0), given["features/price"])
    return answers(given, tf.while_loop(lambda i, x: i < most, lambda i, x: (i + 1, x * 1.1), start)[1])


def index(given: Tensors) -> Tensors:
    """The label is where to look."""
    table = tf.stack([given["features/price"], given["features/price"] * 2.0])
    chosen = tf.cast(given["labels/click"], tf.int32)
    return answers(given, tf.gather(tf.transpose(table), chosen, batch_dims=1))


def nested(given: Tensors) -> Tensors:
    """Three calls deep, and under another name."""

    @tf.function
    def inner(price: Any, gate: Any) -> Any:
        return tf.where(gate > 0.0, price, 0.0)

    @tf.function
    def outer(price: Any, boost: Any) -> Any:
        return inner(price, boost) + 0.0

    return answers(given, outer(given["features/price"], given["masks/click"]))


def mapped(given: Tensors) -> Tensors:
    """In the body of a map."""
    pairs = (given["features/price"], given["labels/click"])
    return answers(given, tf.map_fn(lambda pair: pair[0] + pair[1], pairs, fn_output_signature=tf.float32))


def gradient_stopped(given: Tensors) -> Tensors:
    """No gradient flows, but the value does."""
    return answers(given, given["features/price"] + tf.stop_gradient(given["labels/click"]))


LEAKS: Dict[Graph, str] = {
    product: "masks/click",
    branch: "labels/click",
    turns: "sample_weights/click",
    index: "labels/click",
    nested: "masks/click",
    mapped: "labels/click",
    gradient_stopped: "labels/click",
}


@pytest.mark.parametrize("graph", LEAKS, ids=lambda graph: graph.__name__)
def test_leak_into_a_prediction_is_found(graph: Graph, tmp_path: Path) -> None:
    found = prove(save(tmp_path, graph))
    assert [(each.rule, each.tensor) for each in found] == [("SIG401", LEAKS[graph])]
    assert "'predictions/click' depends on" in found[0].message and " at " in found[0].message


def test_leak_through_a_variable_is_found(tmp_path: Path) -> None:
    state = tf.Variable(0.0)

    def graph(given: Tensors) -> Tensors:
        state.assign(tf.reduce_mean(given["labels/click"]))
        return answers(given, given["features/price"] + state)

    found = prove(save(tmp_path, graph, state=state))
    assert [(each.rule, each.tensor) for each in found] == [("SIG401", "labels/click")]
    assert "through a variable" in found[0].message


def test_pure_graph_is_proven(tmp_path: Path) -> None:
    assert prove(save(tmp_path, pure)) == []


def test_shape_of_a_label_is_no_leak(tmp_path: Path) -> None:
    """A prediction as long as the labels knows nothing of them."""

    def graph(given: Tensors) -> Tensors:
        rows = tf.shape(given["labels/click"])[0]
        return answers(given, given["features/price"] + tf.zeros_like(given["masks/click"]) + tf.ones([rows]))

    assert prove(save(tmp_path, graph)) == []


def unused(given: Tensors) -> Any:
    return tf.reduce_mean(given["sample_weights/click"] * (given["labels/click"] - given["features/price"]) ** 2)


def only_its_shape(given: Tensors) -> Any:
    """The mask says how many rows there are, and not which of them count."""
    rows = tf.cast(tf.size(given["masks/click"]), tf.float32)
    error = (given["labels/click"] - given["features/price"]) ** 2
    return tf.reduce_sum(error * given["sample_weights/click"] * tf.ones_like(given["masks/click"])) / rows


def kept_apart(given: Tensors) -> Any:
    """A nested function takes the mask and leaves it."""

    @tf.function
    def error(label: Any, mask: Any, weight: Any) -> Tuple[Any, Any]:
        return tf.reduce_mean(weight * label), tf.reduce_mean(mask)

    total, _ = error(given["labels/click"], given["masks/click"], given["sample_weights/click"])
    return total + tf.reduce_mean(given["features/price"])


@pytest.mark.parametrize("inert", [unused, only_its_shape, kept_apart], ids=lambda graph: graph.__name__)
def test_inert_mask_is_found(inert: Callable[[Tensors], Any], tmp_path: Path) -> None:
    def graph(given: Tensors) -> Tensors:
        return {"loss": inert(given), "predictions/click": given["features/price"] * 0.5}

    found = prove(save(tmp_path, graph))
    assert [(each.rule, each.tensor) for each in found] == [("SIG402", "masks/click")]
    assert "'loss' does not depend on 'masks/click'" in found[0].message


def test_mask_that_is_written_into_a_variable_of_the_loss_counts(tmp_path: Path) -> None:
    """It looks inert: nothing in the loss names the mask. But the loss reads what it was stored in."""
    state = tf.Variable(0.0)

    def graph(given: Tensors) -> Tensors:
        state.assign(tf.reduce_sum(given["masks/click"]))
        error = given["sample_weights/click"] * (given["labels/click"] - given["features/price"]) ** 2
        return {"loss": tf.reduce_sum(error) / state, "predictions/click": given["features/price"] * 0.5}

    assert prove(save(tmp_path, graph, state=state)) == []


def test_input_without_a_role_is_found_where_it_enters(tmp_path: Path) -> None:
    """Such an input does not turn a training graph into a model to be served, of which nothing would be proven."""

    def graph(given: Tensors) -> Tensors:
        prediction = given["features/price"] * 0.5
        return {"loss": loss(given, prediction) * tf.reduce_mean(given["boost"]), "predictions/click": prediction}

    found = prove(save(tmp_path, graph, (*NAMES, "boost")))
    assert [(each.rule, each.tensor) for each in found] == [("SIG403", "boost")]
    assert "'loss' depends on input 'boost' at " in found[0].message


def test_placeholder_of_tf1_is_found_in_loss_and_prediction(tmp_path: Path) -> None:
    """keep_prob, which the signature does not list: whoever trains feeds it, and nothing says with what."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        given = {name: v1.placeholder(tf.float32, [None], name) for name in NAMES}
        keep_prob = v1.placeholder(tf.float32, [], "keep_prob")
        found = answers(given, given["features/price"] * keep_prob)
        v1.saved_model.simple_save(session, str(tmp_path / "m"), given, found)
    told: List[Tuple[str, str]] = [(each.rule, each.message) for each in prove(tmp_path / "m")]
    assert [rule for rule, _ in told] == ["SIG403", "SIG403"]
    assert {message.split(" ")[0] for _, message in told} == {"'loss'", "'predictions/click'"}
