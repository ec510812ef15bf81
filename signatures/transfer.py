"""What one node does with the sources of its inputs: the transfer function of the dataflow analysis.

Every function that the node names must have its summary in the library.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Sequence, Tuple

from signatures import ops, parsing
from signatures.callees import callees_of, is_branch, is_call, is_loop, named, passed_on
from signatures.saved_model import Graph, Node
from signatures.sources import Library, Mask, Origin, Summary, bits, substitute, union

Writes = Dict[int, Mask]


class Inputs(NamedTuple):
    """The sources of a node's data inputs: of their values, and of their shapes."""

    values: Sequence[Mask]
    shapes: Sequence[Mask]


class Effect(NamedTuple):
    """Sources of the outputs' values and shapes (a lone one stands for all), and what is written to which handle."""

    outputs: Tuple[Mask, ...]
    shapes: Tuple[Mask, ...]
    writes: Writes


def effect(library: Library, graph: Graph, node: Node, inputs: Inputs) -> Effect:
    """What a node computes and writes, from the sources of its data inputs."""
    callees = callees_of(library, node)
    passed = len(inputs.values)
    if callees:
        library.spend(passed)
        if is_loop(library, node, callees, passed):
            return _loop(library, node, inputs)
        if is_branch(library, node, callees, passed):
            return _branches(library, callees, inputs)
        if is_call(library, node, callees, passed):
            return _call(library, library.summaries[callees[0]], inputs)
        return _unknown_call(library, graph, node, inputs, callees)
    return _op(library, graph, node, inputs)


def plain(op: str, inputs: Inputs) -> Tuple[Mask, Mask]:
    """The sources of an ordinary op's outputs: every output from every input; and those of their shapes."""
    value = union(inputs.values)
    places = ops.shaping(op)
    if places is None:
        return value, value
    shape = union(inputs.shapes)
    for place in places:
        if place < len(inputs.values):  # -1 is the last
            shape |= inputs.values[place]
    return value, shape


def _op(library: Library, graph: Graph, node: Node, inputs: Inputs) -> Effect:
    """An op that calls nothing."""
    if node.op in ops.VALUELESS:
        shape = union(inputs.shapes)
        return Effect((shape,), (shape if node.op in ("ZerosLike", "OnesLike") else 0,), {})
    if node.op in ops.PLACEHOLDERS:
        mask = union(inputs.values) | 1 << library.bit(Origin("placeholder", node.name, graph.name))
        return Effect((mask,), (union(inputs.shapes),), {})
    if node.op == "IdentityN":
        return Effect(tuple(inputs.values), tuple(inputs.shapes), {})
    if node.op in ops.FORWARDS and inputs.values:
        return Effect((inputs.values[0],), (inputs.shapes[0],), {})
    keys = parsing.keys(graph, node) if node.op in parsing.PARSERS else None
    if keys:
        return _parsed(library, keys, inputs)
    if ops.holds_state(node):
        return Effect((union(inputs.values) | 1 << library.bit(resource(graph.name, node)),), (0,), {})
    value, shape = plain(node.op, inputs)
    return Effect((value,), (shape,), _writes(library, graph, node, inputs.values))


def resource(graph: str, node: Node) -> Origin:
    """The state that a node of this graph, a function or the main one without a name, holds the handle of."""
    shared = node.attributes.get("shared_name", b"")
    known = shared.decode(errors="replace") if isinstance(shared, bytes) else ""
    return Origin("resource", known) if known else Origin("resource", node.name, graph)


def _writes(library: Library, graph: Graph, node: Node, values: Sequence[Mask]) -> Writes:
    """What an op itself writes: to a handle, or to a file."""
    written: Writes = {}
    if ops.writes_state(node) and values:
        handle = min(ops.written_place(node.op), len(values) - 1)
        content = union([mask for place, mask in enumerate(values) if place != handle])
        written.update((bit, content) for bit in bits(values[handle]))
    if ops.touches_files(node):
        names = values[1:] if node.op.startswith("InitializeTable") else values
        bit = library.bit(Origin("file", node.name, graph.name))
        written[bit] = written.get(bit, 0) | union(names)
    return written


def _parsed(library: Library, keys: parsing.Keys, inputs: Inputs) -> Effect:
    """Each key of a parsed tf.Example is a source of its own, and what was parsed is what is written to it."""
    first = len(inputs.values) - keys.defaults
    outputs, written = [], {}
    for output in keys.outputs:
        bit = library.bit(Origin("parsed", output.key))
        default = inputs.values[first + output.default] if output.default is not None else 0
        outputs.append(1 << bit | default)
        written[bit] = inputs.values[0]
    # How long a sparse or ragged feature is, is in the request; a dense one has as many rows as were asked for.
    shapes = [mask if output.default is None else 0 for mask, output in zip(outputs, keys.outputs)]
    return Effect(tuple(outputs), tuple(shapes), written)


def _inlined(library: Library, mask: Mask, inputs: Inputs) -> Mask:
    """A callee's sources in terms of its caller's."""
    library.spend(1 + (bin(mask).count("1") >> 4))
    return substitute(mask, inputs.values, library.width, inputs.shapes)


def _known(library: Library, mask: Mask, inputs: Inputs, known: Dict[Mask, Mask]) -> Mask:
    """As `_inlined`, once for each set: most returns of a large function come from the same arguments."""
    if mask not in known:
        known[mask] = _inlined(library, mask, inputs)
    return known[mask]


def _written(library: Library, summary: Summary, inputs: Inputs, predicate: Mask) -> Writes:
    """A callee's writes in terms of its caller; whether they happen depends on the predicate."""
    written: Writes = {}
    for handle, mask in summary.writes.items():
        content = _inlined(library, mask, inputs) | predicate
        for bit in bits(_inlined(library, 1 << handle, inputs)):
            written[bit] = written.get(bit, 0) | content
    return written


def _merged(every: Sequence[Writes]) -> Writes:
    merged: Writes = {}
    for writes in every:
        for bit, mask in writes.items():
            merged[bit] = merged.get(bit, 0) | mask
    return merged


def _call(library: Library, summary: Summary, inputs: Inputs) -> Effect:
    known: Dict[Mask, Mask] = {}
    outputs = tuple(_known(library, each, inputs, known) for each in summary.outputs)
    shapes = tuple(_known(library, each, inputs, known) for each in summary.shapes)
    return Effect(outputs, shapes, _written(library, summary, inputs, 0))


def _branches(library: Library, callees: Sequence[str], inputs: Inputs) -> Effect:
    """An output takes the predicate's sources too, unless every branch hands on the same argument."""
    predicate, arguments = inputs.values[0], Inputs(inputs.values[1:], inputs.shapes[1:])
    every = [_call(library, library.summaries[name], arguments) for name in callees]
    summaries = [library.summaries[name] for name in callees]
    outputs, shapes = [], []
    for index in range(min(len(each.outputs) for each in every)):
        places = {passed_on(each, index) for each in summaries}
        chosen = 0 if len(places) == 1 and -1 not in places else predicate
        outputs.append(union([each.outputs[index] for each in every]) | chosen)
        shapes.append(union([each.shapes[index] for each in every]) | chosen)
    writes = [{bit: mask | predicate for bit, mask in each.writes.items()} for each in every]
    return Effect(tuple(outputs), tuple(shapes), _merged(writes))


def _loop(library: Library, node: Node, inputs: Inputs) -> Effect:
    """The sources of the loop's variables after any number of turns; how many turns depends on the condition."""
    condition, body = (library.summaries[named(node, name)] for name in ("cond", "body"))
    values, shapes, predicate = list(inputs.values), list(inputs.shapes), 0
    state = Inputs(values, shapes)
    changing = [place for place in range(len(values)) if passed_on(body, place) != place]
    before = None
    while (values, shapes, predicate) != before:
        before = (list(values), list(shapes), predicate)
        predicate = _inlined(library, condition.outputs[0], state)
        changing.reverse()  # a chain of variables settles in two sweeps, whichever way it points
        known: Dict[Mask, Mask] = {}  # of this sweep; what it lacks of later changes comes with the next one
        for place in changing:
            values[place] |= _known(library, body.outputs[place], state, known) | predicate
            shapes[place] |= _known(library, body.shapes[place], state, known) | predicate
    written = [_written(library, each, state, predicate) for each in (condition, body)]
    return Effect(tuple(values), tuple(shapes), _merged(written))


def _unknown_call(library: Library, graph: Graph, node: Node, inputs: Inputs, callees: Sequence[str]) -> Effect:
    """An op that may pass its functions anything, in any order, any number of times."""
    everything = union(inputs.values)
    writes: List[Writes] = [_writes(library, graph, node, inputs.values)]
    for name in callees:
        summary = library.summaries[name]
        passed = [everything] * len(library.functions[name].arguments)
        everything |= union([_inlined(library, each, Inputs(passed, passed)) for each in summary.outputs])
        writes.append(_written(library, summary, Inputs(passed, passed), 0))
    return Effect((everything,), (everything,), _merged(writes))
