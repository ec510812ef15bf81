"""The nodes whose value can change an output: the way back from the outputs, into functions, tensor by tensor.

A tensor is asked for its value or only for its shape. `Shape` passes on the second question, and most ops that are
asked for their shape ask their inputs for theirs: what they compute does not matter then.
"""

from __future__ import annotations

from typing import Callable, Dict, Iterable, List, Mapping, Set, Tuple

from signatures import ops
from signatures.callees import callees_of, is_branch, is_call
from signatures.needs import needs
from signatures.planning import Fed
from signatures.references import data_inputs, resolve
from signatures.saved_model import Graph, Node, Place
from signatures.sources import Library, bits

Asked = Tuple[Graph, str, bool]
"""A tensor of a graph; True when it is asked for its value."""
Need = Callable[[Graph, str, bool], None]


def live(
    library: Library, graph: Graph, fed: Fed, tensors: Iterable[str], running: Mapping[str, Mapping[str, Place]]
) -> Tuple[Place, ...]:
    """The nodes whose value can change one of the tensors of the main graph.

    running: the places of all nodes that run, by graph and name; what is live is among them.
    """
    places: Dict[int, Place] = {}
    asked: Tuple[Dict[str, Set[str]], Dict[str, Set[str]]] = ({}, {})  # for the shape, for the value
    pending: List[Asked] = []

    def need(where: Graph, reference: str, value: bool) -> None:
        known = asked[value].get(where.name)
        if known is None:
            known = asked[value][where.name] = set()
        if reference not in known:
            known.add(reference)
            pending.append((where, reference, value))

    for tensor in tensors:
        need(graph, tensor, True)
    while pending:
        where, reference, value = pending.pop()
        name, key, index = resolve(where, reference)
        place = running[where.name].get(name)
        if place is None or (not where.name and key in fed):
            continue
        node = place.node
        if value or ops.shaping(node.op) is None:
            places[id(place)] = place
        if value and not node.functions and ops.is_plain(node.op) and node.op not in library.functions:
            known = asked[value][where.name]
            new = [each for each in dict.fromkeys(node.inputs) if each not in known and each[:1] != "^"]
            known.update(new)
            pending += [(where, each, True) for each in new]
        elif value:
            _ask_for_value(library, where, node, index, need)
        else:
            _ask_for_shape(library, where, node, index, need)
    library.spend(len(places))
    return tuple(places.values())


def _ask_for_value(library: Library, where: Graph, node: Node, index: int, need: Need) -> None:
    inputs = data_inputs(node)
    if node.op in ops.VALUELESS:
        for each in inputs:
            need(where, each, False)
        return
    needed = needs(library, node, index, len(inputs))
    for place in needed.inputs:
        if place < len(inputs):
            need(where, inputs[place], True)
    for function, place in needed.returns:
        called = library.functions[function]
        if place < len(called.returns):
            need(called, called.returns[place], True)


def _ask_for_shape(library: Library, where: Graph, node: Node, index: int, need: Need) -> None:
    inputs = data_inputs(node)
    callees = callees_of(library, node)
    if callees:
        _ask_callees_for_shape(library, where, node, index, need)
    elif node.op in ops.VALUELESS:
        for each in inputs if node.op in ("ZerosLike", "OnesLike") else ():
            need(where, each, False)
    elif node.op in ops.FORWARDS or node.op == "IdentityN":
        for each in inputs[index : index + 1]:
            need(where, each, False)
    else:
        places = ops.shaping(node.op)
        valued = set(range(len(inputs))) if places is None else {place % max(len(inputs), 1) for place in places}
        for place, each in enumerate(inputs):
            need(where, each, place in valued)


def _ask_callees_for_shape(library: Library, where: Graph, node: Node, index: int, need: Need) -> None:
    """A call's output has the shape of a return; of a loop, and of what is not known, the value is asked."""
    inputs, callees, half = data_inputs(node), callees_of(library, node), library.width >> 1
    first = 1 if is_branch(library, node, callees, len(inputs)) else 0
    if not first and not is_call(library, node, callees, len(inputs)):
        _ask_for_value(library, where, node, index, need)
        return
    for each in inputs[:first]:
        need(where, each, True)
    for name in callees:
        called, shapes = library.functions[name], library.summaries[name].shapes
        if index < len(called.returns):
            need(called, called.returns[index], False)
            for bit in bits(shapes[index] & ((1 << library.width) - 1)):
                need(where, inputs[first + (bit if bit < half else bit - half)], bit < half)
