"""Where an input meets the computation of an output: the place that a finding points at.

One way back from the output to the input is walked, into the functions that it passes through; of it, the node nearest
to the input is kept that does more than hand its value on. A loop is one step: its body is not entered. The way through
a function is walked once for each return and argument, however often it is called.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Set, Tuple, Union

from signatures import ops, parsing
from signatures.callees import callees_of, is_branch, is_call
from signatures.dataflow import sources
from signatures.needs import argument_places, needs
from signatures.planning import Fed, arguments
from signatures.references import data_inputs, resolve
from signatures.saved_model import Graph, Node, Place
from signatures.sources import Library, Mask, Solution

_CARRIERS = (*ops.FORWARDS, *parsing.PARSERS, "IdentityN", "Cast", "Reshape", "ExpandDims", "Squeeze")


class _Through(NamedTuple):
    """The way through a function: from one of its returns to what is looked for, in its own terms."""

    function: str
    place: int
    wanted: Mask


class _Where(NamedTuple):
    """A graph on the way, and the sources looked for in its terms."""

    graph: Graph
    solution: Solution
    fed: Fed
    wanted: Mask

    def has(self, reference: str) -> bool:
        return sources(self.solution, self.graph, self.fed, reference) & self.wanted != 0


_Step = Union[Place, _Through]
"""A node that computes, or a function that may hold one."""


class _Open(NamedTuple):
    """Steps of a way that are yet to be looked into, the nearest to the input last."""

    way: Optional[_Through]
    steps: List[_Step]


def entry(library: Library, graph: Graph, solution: Solution, fed: Fed, tensor: str, bit: int) -> Optional[Place]:
    """The first node that a source of a tensor goes through; None when it comes unchanged.

    The tensor must have the source: see `sources`.
    """
    known: Dict[_Through, Optional[Place]] = {}
    stack = [_Open(None, _way(library, _Where(graph, solution, fed, 1 << bit), tensor))]
    while True:
        way, steps = stack[-1]
        step = steps[-1] if steps else None
        if isinstance(step, _Through) and step not in known:
            stack.append(_Open(step, _inside(library, step)))
            continue
        found = known[step] if isinstance(step, _Through) else step
        if found is None and steps:
            steps.pop()
            continue
        if way is None:
            return found
        known[way] = found
        stack.pop()


def _inside(library: Library, through: _Through) -> List[_Step]:
    graph = library.functions[through.function]
    where = _Where(graph, library.solutions[through.function], arguments(graph), through.wanted)
    return _way(library, where, graph.returns[through.place])


def _way(library: Library, where: _Where, tensor: str) -> List[_Step]:
    """The way from a tensor back to what is looked for, within one graph: its last node, and the functions after it."""
    last: Optional[Node] = None
    after: List[_Step] = []
    seen: Set[str] = set()
    reference: Optional[str] = tensor
    while reference is not None and reference not in seen:  # a TF1 loop leads back to where it began
        seen.add(reference)
        name, key, index = resolve(where.graph, reference)
        if key in where.fed:
            break
        node = where.graph.nodes[name]
        entered = _entered(library, where, node, index) if node.functions or node.op in library.functions else None
        if entered is not None:
            through, reference = entered
            after.append(through)
            continue
        if node.op not in _CARRIERS:
            last, after = node, []
        reference = _next(library, where, node, index, seen)
    library.spend(len(seen))
    return after if last is None else [Place(where.graph.name, last), *after]


def _entered(library: Library, where: _Where, node: Node, index: int) -> Optional[Tuple[_Through, Optional[str]]]:
    """The function that the way goes into, and the tensor passed to it by which it goes on, unless it begins there."""
    callees, inputs = callees_of(library, node), data_inputs(node)
    branches = is_branch(library, node, callees, len(inputs))
    if not branches and not is_call(library, node, callees, len(inputs)):
        return None
    passed = inputs[1:] if branches else inputs
    for function in callees:
        for place in sorted(argument_places(library, function, index)):
            if where.has(passed[place]):
                wanted = 1 << place | 1 << (place + (library.width >> 1))
                return _Through(function, index, wanted), passed[place]
        begins = library.summaries[function].outputs[index] >> library.width << library.width & where.wanted
        if begins:  # a key of what is parsed within the function
            return _Through(function, index, begins), None
    return None


def _next(library: Library, where: _Where, node: Node, index: int, seen: Set[str]) -> Optional[str]:
    """The first input of a node that the source comes through and that was not walked yet."""
    inputs = data_inputs(node)
    if not node.functions and ops.is_plain(node.op) and node.op not in library.functions:
        for each in inputs:
            if each not in seen and where.has(each):
                return each
        return None
    for place in needs(library, node, index, len(inputs)).inputs:
        if place < len(inputs) and inputs[place] not in seen and where.has(inputs[place]):
            return inputs[place]
    return None
