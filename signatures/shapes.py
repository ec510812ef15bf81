"""What a graph says, unasked, of a tensor's shape and of small whole numbers: axes, shapes, permutations.

TensorFlow writes `_output_shapes` beside each node; where a tool has removed them, little is known, and rules stay
silent.
"""

from __future__ import annotations

from typing import Optional, Tuple

from signatures import ops
from signatures.references import data_inputs, resolve
from signatures.saved_model import Graph, Node, Shape

Numbers = Optional[Tuple[Optional[int], ...]]
"""None where nothing is known, a None within where one number is not."""

# In a function a tensor is `node:output:place`, and the place counts within that output: only where a node has one
# output, or one list of them, is it the place among the node's shapes. `y` is a normalisation's first.
_LISTS = (*ops.CALLS, *ops.BRANCHES, *ops.LOOPS, "IdentityN", "Split", "SplitV", "Unpack")


def shape(graph: Graph, reference: str) -> Shape:
    """The static shape of a tensor; None when its rank is not known."""
    name, _, place = resolve(graph, reference)
    if name in graph.arguments:
        return _at(graph.attributes.get("_input_shapes"), graph.arguments.index(name))
    node = graph.nodes.get(name)
    if node is None:
        return None
    found = node.attributes.get("_output_shapes")
    if isinstance(found, tuple) and found:
        first = len(found) == 1 or reference.endswith(":y:0")
        return _at(found, 0 if first else place) if first or not graph.name or node.op in _LISTS else None
    return _inferred(graph, node)


def integers(graph: Graph, reference: str) -> Numbers:
    """The numbers of a whole-number tensor, flat: of a constant, or of scalars packed together."""
    node = graph.nodes.get(resolve(graph, reference)[0])
    for _ in range(8):  # a constant may be handed on a few times
        if node is None:
            return None
        if node.op == "Const":
            value = node.attributes.get("value")
            return value if isinstance(value, tuple) and all(isinstance(each, int) for each in value) else None
        if node.op == "Pack":
            return tuple(_scalar(graph, each) for each in data_inputs(node))
        if node.op not in ops.FORWARDS or not data_inputs(node):
            return None
        node = graph.nodes.get(resolve(graph, data_inputs(node)[0])[0])
    return None


def _scalar(graph: Graph, reference: str) -> Optional[int]:
    node = graph.nodes.get(resolve(graph, reference)[0])
    value = node.attributes.get("value") if node is not None and node.op == "Const" else None
    return value[0] if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], int) else None


def _inferred(graph: Graph, node: Node) -> Shape:
    if node.op in ops.PLACEHOLDERS:
        found = node.attributes.get("shape")
        return found if isinstance(found, tuple) else None
    inputs = data_inputs(node)
    numbers = integers(graph, inputs[1]) if node.op == "Reshape" and len(inputs) > 1 else None
    return None if numbers is None else tuple(None if each is None or each < 0 else each for each in numbers)


def _at(shapes: object, place: int) -> Shape:
    found = shapes[place] if isinstance(shapes, tuple) and place < len(shapes) else None
    return found if isinstance(found, tuple) else None
