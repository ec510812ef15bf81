"""Solves a graph: which sources can change which of its tensors.

A function is solved once, after those it calls; a call then costs a substitution, so that 60 functions calling the next
one twice are 60 steps and not 2^60. Nothing here recurses: depth costs memory, not Python's stack.
"""

from __future__ import annotations

from typing import Dict, Iterator, List, Mapping, Optional, Tuple

from signatures import ops
from signatures.callees import callees_of, handed_on
from signatures.errors import UsageError
from signatures.planning import Fed, Plan, arguments, plan, roots
from signatures.references import data_inputs, resolve
from signatures.saved_model import Graph, Node
from signatures.sources import Library, Mask, Solution, Summary
from signatures.transfer import Effect, Inputs, Writes, effect, plain

_Masks = Dict[str, Tuple[Mask, ...]]
_NOTHING: Tuple[Mask, ...] = (0,)
_NO_WRITES: Writes = {}
_NO_INPUTS = Inputs((), ())
_WIDE = 1 << 4096
"""A set of sources that is no longer small counts as more than one step."""
_SHAPES_OF_INPUTS: Fed = {}
"""Of a signature's inputs: their shape says how many rows were asked for, which is no feature's value."""


def solve(library: Library, graph: Graph, fed: Fed, planned: Plan) -> Solution:
    """The sources of every planned node, after solving the functions they call."""
    for node in planned.nodes:
        for callee in callees_of(library, node):
            solve_function(library, callee)
    return _solve(library, graph, fed, _SHAPES_OF_INPUTS, planned)


def solve_function(library: Library, name: str) -> Summary:
    """The summary of a function, after solving all it calls. Raises UsageError when a function calls itself."""
    stack: List[Tuple[str, Plan, Iterator[str]]] = []
    if name not in library.summaries:
        stack.append(_opened(library, name))
    opened = {name}
    while stack:
        function, planned, callees = stack[-1]
        callee = next((each for each in callees if each not in library.summaries), None)
        if callee in opened:
            raise UsageError(f"function {callee!r} calls itself, which no server can run; export the model again")
        if callee is not None:
            opened.add(callee)
            stack.append(_opened(library, callee))
            continue
        library.summaries[function] = _summary(library, library.functions[function], planned)
        opened.discard(function)
        stack.pop()
    return library.summaries[name]


def sources(solution: Solution, graph: Graph, fed: Fed, reference: str) -> Mask:
    """The sources of a tensor, written as a node's input or a function's return. Raises UsageError if it is none."""
    return _looked_up(graph, fed, solution.masks, reference)


def _opened(library: Library, name: str) -> Tuple[str, Plan, Iterator[str]]:
    if name not in library.functions:
        raise UsageError(f"function {name!r} is called but not in the file; export the model again")
    graph = library.functions[name]
    planned = plan(graph, arguments(graph), roots(graph))
    callees = [callee for node in planned.nodes for callee in callees_of(library, node)]
    return name, planned, iter(callees)


def _summary(library: Library, graph: Graph, planned: Plan) -> Summary:
    fed, half = arguments(graph), library.width >> 1
    shapes = {name: 1 << (half + place) for place, name in enumerate(graph.arguments)}
    solution = _solve(library, graph, fed, shapes, planned)
    library.solutions[graph.name] = solution
    return Summary(
        outputs=tuple(_looked_up(graph, fed, solution.masks, each) for each in graph.returns),
        shapes=tuple(_looked_up(graph, shapes, solution.shapes, each) for each in graph.returns),
        passes=tuple(_passed(library, graph, each) for each in graph.returns),
        writes=solution.writes,
    )


def _passed(library: Library, graph: Graph, reference: str) -> Optional[int]:
    """The argument that a tensor is, followed through whatever only hands it on."""
    places = {name: place for place, name in enumerate(graph.arguments)}
    for _ in range(len(graph.nodes) + 1):  # no longer than the body, even if a damaged one goes round
        name, _, index = resolve(graph, reference)
        if name in places:
            return places[name]
        node = graph.nodes[name]
        if not node.functions and ops.is_plain(node.op) and node.op not in library.functions:
            return None
        inputs = data_inputs(node)
        place = handed_on(library, node, index, len(inputs))
        if not 0 <= place < len(inputs):
            return None
        reference = inputs[place]
    return None


def _looked_up(graph: Graph, fed: Fed, masks: Mapping[str, Tuple[Mask, ...]], reference: str) -> Mask:
    node, key, index = resolve(graph, reference)
    return fed[key] if key in fed else _output(masks, node, index, reference)


def _output(masks: Mapping[str, Tuple[Mask, ...]], node: str, index: int, reference: str) -> Mask:
    found = masks.get(node, _NOTHING)
    if len(found) == 1:
        return found[0]
    if index >= len(found):
        raise UsageError(f"{reference!r} is read, but that node has {len(found)} outputs; export the model again")
    return found[index]


def _solve(library: Library, graph: Graph, fed: Fed, fed_shapes: Fed, planned: Plan) -> Solution:
    """One sweep in order; where the graph is cyclic, sweeps until nothing changes."""
    masks: _Masks = {}
    shapes: _Masks = {}
    writes: Writes = {}
    branching = any(node.op in ops.SWITCHES for node in planned.nodes)
    alive: Dict[str, Mask] = {}
    changed = True
    while changed:
        changed = False
        library.spend(len(planned.nodes))
        for node in planned.nodes:
            inputs = _inputs(graph, node, (fed, masks), (fed_shapes, shapes))
            values, shaped, written = _effect(library, graph, node, inputs)
            for bit, mask in written.items():
                writes[bit] = writes.get(bit, 0) | mask
            if branching:
                known = alive.get(node.name)
                values, shaped = _chosen(node, inputs, values, shaped, alive)
                changed = changed or alive[node.name] != known
            if planned.cyclic:
                values = _grown(masks.get(node.name), values)
                shaped = _grown(shapes.get(node.name), shaped)
                changed = changed or masks.get(node.name) != values or (any(shaped) and shapes.get(node.name) != shaped)
            masks[node.name] = values
            if any(shaped):
                shapes[node.name] = shaped
        changed = changed and planned.cyclic
    return Solution(masks, writes, shapes)


def _grown(before: Optional[Tuple[Mask, ...]], after: Tuple[Mask, ...]) -> Tuple[Mask, ...]:
    """What was found together with what is found now: sets that only grow come to an end."""
    return after if before is None else tuple(old | new for old, new in zip(before, after))


def _inputs(graph: Graph, node: Node, values: Tuple[Fed, _Masks], shapes: Tuple[Fed, _Masks]) -> Inputs:
    """The sources of a node's data inputs; of each kind what is fed, and what is known of the nodes."""
    if not node.inputs:
        return _NO_INPUTS
    fed, masks = values
    fed_shapes, shape_masks = shapes
    found: List[Mask] = []
    shaped: List[Mask] = []
    for reference in node.inputs:
        if reference[:1] == "^":
            continue
        name, key, index = resolve(graph, reference)
        if key in fed:
            found.append(fed[key])
            shaped.append(fed_shapes.get(key, 0))
        else:
            found.append(_output(masks, name, index, reference))
            shaped.append(_output(shape_masks, name, index, reference) if name in shape_masks else 0)
    return Inputs(found, shaped)


def _effect(library: Library, graph: Graph, node: Node, inputs: Inputs) -> Effect:
    """What a node does; quickly for the ordinary ones, which are nearly all."""
    if ops.is_plain(node.op) and not node.functions and node.op not in library.functions:
        value, shape = plain(node.op, inputs)
        if value > _WIDE:
            library.spend(value.bit_length() >> 9)
        return Effect((value,), (shape,), _NO_WRITES)
    found = effect(library, graph, node, inputs)
    library.spend(sum(mask.bit_length() for mask in found.outputs) >> 9)
    return found


def _chosen(
    node: Node, inputs: Inputs, values: Tuple[Mask, ...], shapes: Tuple[Mask, ...], alive: Dict[str, Mask]
) -> Tuple[Tuple[Mask, ...], Tuple[Mask, ...]]:
    """TF1 branches: a Merge takes the predicates that let one of its inputs live, be it a constant.

    `alive` collects, per node, the predicates of the Switches before it, through data and control inputs.
    """
    before = 0
    for reference in node.inputs:
        before |= alive.get(reference.lstrip("^").partition(":")[0], 0)
    if node.op in ops.SWITCHES and len(inputs.values) > 1:
        before |= inputs.values[1]
    alive[node.name] = before
    if node.op not in ops.MERGES:
        return values, shapes
    return tuple(mask | before for mask in values), tuple(mask | before for mask in shapes)
