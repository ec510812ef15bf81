"""What one node does with the sources of its inputs: the transfer function of the dataflow analysis.

Every function that the node names must have its summary in the library.
"""

from __future__ import annotations

from typing import Dict, Iterator, List, NamedTuple, Sequence, Tuple

from signatures import ops
from signatures.saved_model import FunctionReference, Graph, Node
from signatures.sources import Library, Mask, Origin, Summary, bits, substitute, union

Writes = Dict[int, Mask]


class Effect(NamedTuple):
    """Sources per output (a lone one stands for all), and what is written to which handle."""

    outputs: Tuple[Mask, ...]
    writes: Writes


class Needs(NamedTuple):
    """What one output of a node needs: places of data inputs, and (function, place of a return)."""

    inputs: Tuple[int, ...]
    returns: Tuple[Tuple[str, int], ...]


def effect(library: Library, graph: Graph, node: Node, inputs: Sequence[Mask]) -> Effect:
    """What a node computes and writes, from the sources of its data inputs."""
    if node.op in ops.VALUELESS:
        return Effect((0,), {})
    if node.op in ops.PLACEHOLDERS:
        return Effect((union(inputs) | 1 << library.bit(Origin("placeholder", node.name, graph.name)),), {})
    if ops.holds_state(node):
        return Effect((1 << library.bit(_resource(graph, node)),), {})
    if node.op == "IdentityN":
        return Effect(tuple(inputs), {})
    callees = callees_of(library, node)
    if callees and _is_loop(library, node, callees, len(inputs)):
        return _loop(library, node, inputs)
    if callees and node.op in ops.BRANCHES and _fits(library, callees, len(inputs) - 1):
        return _branches(library, callees, inputs)
    if callees and node.op in ops.CALLS and _fits(library, callees, len(inputs)):
        summary = library.summaries[callees[0]]
        outputs = tuple(substitute(each, inputs, library.width) for each in summary.outputs)
        return Effect(outputs, _written(library, summary, inputs, 0))
    return _opaque(library, graph, node, inputs, callees)


def needs(library: Library, node: Node, index: int, inputs: int) -> Needs:
    """Which of its so many data inputs, and which returns of its functions, change an output of a node."""
    everything = tuple(range(inputs))
    if node.op in ops.VALUELESS:
        return Needs((), ())
    if node.op == "IdentityN":
        return Needs((index,), ())
    callees = callees_of(library, node)
    if callees and _is_loop(library, node, callees, inputs) and index < inputs:
        return _loop_needs(library, node, index)
    if callees and node.op in ops.BRANCHES and _fits(library, callees, inputs - 1):
        own = {1 + each for name in callees for each in _argument_bits(library, name, index)}
        return Needs((0, *sorted(own)), tuple((name, index) for name in callees))
    if callees and node.op in ops.CALLS and _fits(library, callees, inputs):
        return Needs(tuple(_argument_bits(library, callees[0], index)), ((callees[0], index),))
    returns = ((name, place) for name in callees for place in range(len(library.summaries[name].outputs)))
    return Needs(everything, tuple(returns))


def callees_of(library: Library, node: Node) -> Tuple[str, ...]:
    """The functions that a node may call; in old graphs the op itself is the name of one."""
    return (*node.functions, node.op) if node.op in library.functions else node.functions


def handed_on(library: Library, node: Node, index: int) -> int:
    """The place of the data input that an output of this node is, unchanged; -1 when it is computed."""
    if node.op in ops.FORWARDS:
        return 0
    if node.op == "IdentityN":
        return index
    callees = callees_of(library, node)
    passed = sum(not each.startswith("^") for each in node.inputs)
    if callees and node.op in ops.CALLS and _fits(library, callees, passed):
        return _pass(library.summaries[callees[0]], index)
    if callees and _is_loop(library, node, callees, passed):
        return index if _pass(library.summaries[_attribute(node, "body")], index) == index else -1
    if callees and node.op in ops.BRANCHES and _fits(library, callees, passed - 1):
        places = {_pass(library.summaries[name], index) for name in callees}
        return 1 + places.pop() if len(places) == 1 and -1 not in places else -1
    return -1


def _resource(graph: Graph, node: Node) -> Origin:
    shared = node.attributes.get("shared_name", b"")
    named = shared.decode(errors="replace") if isinstance(shared, bytes) else ""
    return Origin("resource", named) if named else Origin("resource", node.name, graph.name)


def _fits(library: Library, callees: Sequence[str], passed: int) -> bool:
    """Whether inputs and arguments can be matched one by one; a list argument takes several inputs."""
    return all(len(library.functions[name].arguments) == passed for name in callees)


def _is_loop(library: Library, node: Node, callees: Sequence[str], passed: int) -> bool:
    """Whether a loop has both its functions, and they take and give back each of its variables."""
    condition, body = (library.summaries.get(_attribute(node, name)) for name in ("cond", "body"))
    if node.op not in ops.LOOPS or condition is None or body is None:
        return False
    return _fits(library, callees, passed) and len(body.outputs) == passed and len(condition.outputs) == 1


def _attribute(node: Node, name: str) -> str:
    value = node.attributes.get(name, "")
    return value if isinstance(value, FunctionReference) else ""


def _pass(summary: Summary, index: int) -> int:
    place = summary.passes[index] if index < len(summary.passes) else None
    return -1 if place is None else place


def _argument_bits(library: Library, function: str, index: int) -> Iterator[int]:
    outputs = library.summaries[function].outputs
    return bits((outputs[index] if index < len(outputs) else 0) & ((1 << library.width) - 1))


def _written(library: Library, summary: Summary, arguments: Sequence[Mask], predicate: Mask) -> Writes:
    """A callee's writes in terms of its caller; whether they happen depends on the predicate."""
    written: Writes = {}
    for handle, mask in summary.writes.items():
        for bit in bits(substitute(1 << handle, arguments, library.width)):
            written[bit] = written.get(bit, 0) | substitute(mask, arguments, library.width) | predicate
    return written


def _merged(every: Sequence[Writes]) -> Writes:
    merged: Writes = {}
    for writes in every:
        for bit, mask in writes.items():
            merged[bit] = merged.get(bit, 0) | mask
    return merged


def _branches(library: Library, callees: Sequence[str], inputs: Sequence[Mask]) -> Effect:
    """An output takes the predicate's sources too, unless every branch hands on the same argument."""
    predicate, arguments = inputs[0], inputs[1:]
    summaries = [library.summaries[name] for name in callees]
    outputs = []
    for index in range(min(len(each.outputs) for each in summaries)):
        same = len({_pass(each, index) for each in summaries}) == 1 and _pass(summaries[0], index) >= 0
        masks = [substitute(each.outputs[index], arguments, library.width) for each in summaries]
        outputs.append(union(masks) | (0 if same else predicate))
    return Effect(tuple(outputs), _merged([_written(library, each, arguments, predicate) for each in summaries]))


def _loop(library: Library, node: Node, inputs: Sequence[Mask]) -> Effect:
    """The sources of the loop's variables after any number of turns; how many turns depends on the condition."""
    condition, body = (library.summaries[_attribute(node, name)] for name in ("cond", "body"))
    state, before = list(inputs), None
    places = list(range(len(inputs)))
    predicate = 0
    while (state, predicate) != before:
        before = (list(state), predicate)
        predicate = substitute(condition.outputs[0], state, library.width)
        places.reverse()  # a chain of variables settles in two sweeps, whichever way it points
        for place in places:
            if _pass(body, place) != place:
                state[place] |= substitute(body.outputs[place], state, library.width) | predicate
    written = [_written(library, each, state, predicate) for each in (condition, body)]
    return Effect(tuple(state), _merged(written))


def _loop_needs(library: Library, node: Node, index: int) -> Needs:
    """The variables that one variable of a loop depends on over the turns."""
    condition, body = _attribute(node, "cond"), _attribute(node, "body")
    if _pass(library.summaries[body], index) == index:
        return Needs((index,), ())
    needed, pending = {index}, [index, *_argument_bits(library, condition, 0)]
    needed.update(pending)
    while pending:
        new = set(_argument_bits(library, body, pending.pop())) - needed
        pending.extend(new)
        needed |= new
    places = tuple(sorted(needed))
    return Needs(places, ((condition, 0), *((body, place) for place in places)))


def _opaque(library: Library, graph: Graph, node: Node, inputs: Sequence[Mask], callees: Sequence[str]) -> Effect:
    """Any other op: every output from every input. One that calls functions may pass them anything."""
    everything = union(inputs)
    writes: List[Writes] = []
    for name in callees:
        summary = library.summaries[name]
        passed = [everything] * library.width
        everything |= union([substitute(each, passed, library.width) for each in summary.outputs])
        writes.append(_written(library, summary, passed, 0))
    if ops.writes_state(node) and inputs:
        writes.append({bit: union(inputs[1:]) for bit in bits(inputs[0])})
    if ops.touches_files(node):
        named = inputs[1:] if node.op.startswith("InitializeTable") else inputs
        writes.append({library.bit(Origin("file", node.name, graph.name)): union(named)})
    return Effect((everything,), _merged(writes))
