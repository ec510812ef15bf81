"""Solves a graph: which sources can change which of its tensors.

A function is solved once, after those it calls; a call then costs a substitution, so that 60 functions calling the next
one twice are 60 steps and not 2^60. Nothing here recurses: depth costs memory, not Python's stack.
"""

from __future__ import annotations

from typing import Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from signatures.errors import UsageError
from signatures.saved_model import Graph, Node, tensor_name
from signatures.sources import Library, Mask, Solution, Summary
from signatures.transfer import callees_of, effect, handed_on

Fed = Mapping[str, Mask]
"""Tensors whose sources are given: arguments of a function, inputs of a signature."""


class Plan(NamedTuple):
    """The nodes that some roots need, each after what it needs; cyclic where that is impossible, in TF1 loops."""

    order: Tuple[str, ...]
    cyclic: bool


def plan(graph: Graph, fed: Fed, roots: Iterable[str]) -> Plan:
    """The nodes behind some tensors and `^nodes`, through data and control inputs, cut at what is fed."""
    order: List[str] = []
    finished: Dict[str, bool] = {}
    cyclic = False
    stack: List[Tuple[Optional[str], Iterator[str]]] = [(None, _nodes(graph, fed, roots, "an output"))]
    while stack:
        name, needed = stack[-1]
        step = next(needed, None)
        if step is None:
            stack.pop()
            if name is not None:
                finished[name] = True
                order.append(name)
        elif step not in finished:
            finished[step] = False
            stack.append((step, _nodes(graph, fed, graph.nodes[step].inputs, f"node {step!r}")))
        elif not finished[step]:
            cyclic = True
    return Plan(tuple(order), cyclic)


def solve(library: Library, graph: Graph, fed: Fed, planned: Plan) -> Solution:
    """The sources of every planned node, after solving the functions they call."""
    for name in planned.order:
        for callee in callees_of(library, graph.nodes[name]):
            solve_function(library, callee)
    return _solve(library, graph, fed, planned)


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
    node, key, index = resolve(graph, reference)
    if key in fed:
        return fed[key]
    found = solution.masks.get(node, (0,))
    if len(found) == 1:
        return found[0]
    if index >= len(found):
        raise UsageError(f"{reference!r} is read, but that node has {len(found)} outputs; export the model again")
    return found[index]


def resolve(graph: Graph, reference: str) -> Tuple[str, str, int]:
    """(node, key under which it is fed, place of the output) of a tensor.

    In a function an argument is `name`, or `name:1` for a list of them, and a tensor is `node:output:1`.
    """
    node, *rest = reference.split(":")
    place = rest[-1] if rest else "0"
    index = int(place) if place != "0" and place.isdecimal() and len(place) < 10 else 0
    return node, node if graph.name else tensor_name(reference), index


def data_inputs(node: Node) -> List[str]:
    """The inputs that carry values, in order."""
    return [each for each in node.inputs if each[:1] != "^"]


def arguments(graph: Graph) -> Fed:
    """The arguments of a function, each its own source."""
    return {name: 1 << place for place, name in enumerate(graph.arguments)}


def roots(graph: Graph) -> Tuple[str, ...]:
    """What a call of a function makes run: its returns, and what runs at every call."""
    return graph.returns + tuple(f"^{name}" for name in graph.control_returns)


def _nodes(graph: Graph, fed: Fed, references: Iterable[str], reader: str) -> Iterator[str]:
    """The nodes behind references, without those fed."""
    for reference in references:
        node, key, _ = resolve(graph, reference.lstrip("^"))
        if key in fed:
            continue
        if node not in graph.nodes:
            where = f"function {graph.name!r}" if graph.name else "the graph"
            raise UsageError(f"{reader} of {where} reads {reference!r}, which is not there; export the model again")
        yield node


def _opened(library: Library, name: str) -> Tuple[str, Plan, Iterator[str]]:
    if name not in library.functions:
        raise UsageError(f"function {name!r} is called but not in the file; export the model again")
    graph = library.functions[name]
    planned = plan(graph, arguments(graph), roots(graph))
    callees = [callee for node in planned.order for callee in callees_of(library, graph.nodes[node])]
    return name, planned, iter(callees)


def _summary(library: Library, graph: Graph, planned: Plan) -> Summary:
    fed = arguments(graph)
    solution = _solve(library, graph, fed, planned)
    library.solutions[graph.name] = solution
    return Summary(
        outputs=tuple(sources(solution, graph, fed, each) for each in graph.returns),
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
        inputs = data_inputs(graph.nodes[name])
        place = handed_on(library, graph.nodes[name], index)
        if not 0 <= place < len(inputs):
            return None
        reference = inputs[place]
    return None


def _solve(library: Library, graph: Graph, fed: Fed, planned: Plan) -> Solution:
    """One sweep in order; where the graph is cyclic, sweeps until nothing changes."""
    masks: Dict[str, Tuple[Mask, ...]] = {}
    writes: Dict[int, Mask] = {}
    solution = Solution(masks, writes)
    branching = any(graph.nodes[name].op in ("Switch", "RefSwitch") for name in planned.order)
    alive: Dict[str, Mask] = {}
    changed = True
    while changed:
        changed = False
        for name in planned.order:
            node = graph.nodes[name]
            inputs = [sources(solution, graph, fed, each) for each in data_inputs(node)]
            outputs, written = effect(library, graph, node, inputs)
            if branching:
                known = alive.get(name)
                outputs = _chosen(node, inputs, outputs, alive)
                changed = changed or alive[name] != known
            changed = changed or masks.get(name) != outputs
            masks[name] = outputs
            for bit, mask in written.items():
                writes[bit] = writes.get(bit, 0) | mask
        changed = changed and planned.cyclic
    return solution


def _chosen(node: Node, inputs: List[Mask], outputs: Tuple[Mask, ...], alive: Dict[str, Mask]) -> Tuple[Mask, ...]:
    """TF1 branches: a Merge takes the predicates that let one of its inputs live, be it a constant.

    `alive` collects, per node, the predicates of the Switches before it, through data and control inputs.
    """
    before = 0
    for reference in node.inputs:
        before |= alive.get(reference.lstrip("^").partition(":")[0], 0)
    if node.op in ("Switch", "RefSwitch") and len(inputs) > 1:
        before |= inputs[1]
    alive[node.name] = before
    return tuple(mask | before for mask in outputs) if node.op in ("Merge", "RefMerge") else outputs
