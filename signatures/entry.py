"""Where an input meets the computation of an output: the place that a finding points at.

One way back from the output to the input is walked, into the functions that it passes through; of it, the node nearest
to the input is kept that does more than hand its value on. A loop is one step: its body is not entered.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Set, Tuple

from signatures import ops
from signatures.dataflow import Fed, arguments, data_inputs, resolve, sources
from signatures.saved_model import Graph, Node, Place
from signatures.sources import Library, Solution, bits
from signatures.transfer import needs

_CARRIERS = (*ops.FORWARDS, "IdentityN", "Cast", "Reshape", "ExpandDims", "Squeeze")


class _Where(NamedTuple):
    """A graph on the way, and the bit looked for in its terms."""

    graph: Graph
    solution: Solution
    fed: Fed
    bit: int
    call: Tuple[str, ...] = ()
    """In a function: what was passed for its arguments, tensors of the graph that calls it."""

    def has(self, reference: str) -> bool:
        return sources(self.solution, self.graph, self.fed, reference) >> self.bit & 1 == 1


def entry(library: Library, graph: Graph, solution: Solution, fed: Fed, tensor: str, bit: int) -> Optional[Place]:
    """The first node that a source of a tensor goes through; None when it comes unchanged.

    The tensor must have the source: see `sources`.
    """
    stack: List[_Where] = [_Where(graph, solution, fed, bit)]
    found: Optional[Place] = None
    seen: Set[Tuple[int, str]] = set()
    reference: Optional[str] = tensor
    while reference is not None:
        where = stack[-1]
        name, key, index = resolve(where.graph, reference)
        if key in where.fed:
            if len(stack) == 1:
                return found
            reference = where.call[where.bit]
            stack.pop()
            continue
        if (len(stack), reference) in seen:  # a TF1 loop that leads back here
            return found
        seen.add((len(stack), reference))
        node = where.graph.nodes[name]
        inner = _entered(library, where, node, index)
        if inner is not None:
            callee, reference = inner
            stack.append(callee)
            seen = {each for each in seen if each[0] != len(stack)}
            continue
        if node.op not in _CARRIERS:
            found = Place(where.graph.name, node)
        reference = _next(library, where, node, index, seen, len(stack))
    return found


def _entered(library: Library, where: _Where, node: Node, index: int) -> Optional[Tuple[_Where, str]]:
    """The function that the way goes into, and the return it starts from."""
    inputs = tuple(data_inputs(node))
    passed = inputs[1:] if node.op in ops.BRANCHES else inputs
    if node.op not in ops.CALLS and node.op not in ops.BRANCHES:
        return None
    for function, place in needs(library, node, index, len(inputs)).returns:
        callee = library.functions[function]
        if len(callee.arguments) != len(passed) or place >= len(callee.returns):
            continue
        mask = library.summaries[function].outputs[place] & ((1 << library.width) - 1)
        for bit in bits(mask):
            if where.has(passed[bit]):
                inner = _Where(callee, library.solutions[function], arguments(callee), bit, passed)
                return inner, callee.returns[place]
    return None


def _next(
    library: Library, where: _Where, node: Node, index: int, seen: Set[Tuple[int, str]], depth: int
) -> Optional[str]:
    """The first input of a node that the source comes through and that was not walked yet."""
    inputs = data_inputs(node)
    for place in needs(library, node, index, len(inputs)).inputs:
        if place < len(inputs) and (depth, inputs[place]) not in seen and where.has(inputs[place]):
            return inputs[place]
    return None
