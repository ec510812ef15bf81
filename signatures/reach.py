"""Which tensors inside functions a request can change, and which functions run once per row or per turn.

Function summaries speak of arguments. A rule about what happens *inside* a function needs to know which of its
arguments carry something of the request, in any of the calls that run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, FrozenSet, List, Set, Tuple

from signatures import ops
from signatures.callees import callees_of
from signatures.dataflow import sources
from signatures.planning import Fed, arguments
from signatures.references import data_inputs
from signatures.saved_model import Graph, Node, SavedModel
from signatures.sources import Library, Mask, Solution
from signatures.trace import Trace


@dataclass
class Reach:
    """The answer for one signature."""

    library: Library
    trace: Trace
    origins: Mask
    """The bits of the signature's inputs."""
    graph: Graph
    carried: Dict[str, Mask] = field(default_factory=dict)
    """Function -> the bits of its arguments that a request can change."""
    repeated: FrozenSet[str] = frozenset()
    """Functions that a loop runs, turn by turn, row by row."""

    def changes(self, graph: Graph, reference: str) -> bool:
        """True when a request can change the value of this tensor of the main graph or of a function that runs."""
        solution, fed = self._solved(graph)
        return sources(solution, graph, fed, reference) & (self.origins | self.carried.get(graph.name, 0)) != 0

    def _solved(self, graph: Graph) -> Tuple[Solution, Fed]:
        if not graph.name:
            return self.trace.solution, self.trace.fed
        return self.library.solutions[graph.name], arguments(graph)

    def body(self, name: str) -> Graph:
        """The graph of a place: the main one, or a function's."""
        return self.library.functions[name] if name else self.graph


def reach(library: Library, model: SavedModel, trace: Trace) -> Reach:
    """Follows the inputs of a signature into the functions that it runs."""
    origins = sum(1 << bit for origin, bit in library.origins.items() if origin.kind in ("input", "parsed"))
    found = Reach(library, trace, origins, model.graph)
    calls: Dict[str, List[Node]] = {}
    for place in trace.running:
        if callees_of(library, place.node):
            calls.setdefault(place.graph, []).append(place.node)
    pending = [""]
    while pending:
        caller = pending.pop()
        for node in calls.get(caller, ()):
            pending += [callee for callee in callees_of(library, node) if _passes_more(found, caller, node, callee)]
    found.repeated = frozenset(_repeated(library, calls))
    return found


def _passes_more(found: Reach, caller: str, node: Node, callee: str) -> bool:
    """Notes what a call passes; True when that is more than was known."""
    graph, called = found.body(caller), found.library.functions[callee]
    inputs = data_inputs(node)
    passed = inputs[1:] if node.op in ops.BRANCHES else inputs
    changed = [found.changes(graph, each) for each in passed]
    mask = sum(1 << place for place, each in enumerate(changed) if each)
    if len(passed) != len(called.arguments):  # an op that passes arguments of its own making
        mask = (1 << len(called.arguments)) - 1 if any(changed) else 0
    before = found.carried.get(callee)
    found.carried[callee] = (before or 0) | mask
    return found.carried[callee] != before


def _repeated(library: Library, calls: Dict[str, List[Node]]) -> Set[str]:
    """Functions under a loop, or under an op of which only its function is known."""
    direct = (*ops.CALLS, *ops.BRANCHES)
    inside: Set[str] = set()
    pending = [
        callee
        for nodes in calls.values()
        for node in nodes
        if node.op not in direct and node.op not in library.functions
        for callee in callees_of(library, node)
    ]
    while pending:
        name = pending.pop()
        if name not in inside:
            inside.add(name)
            pending += [callee for node in calls.get(name, ()) for callee in callees_of(library, node)]
    return inside
