"""What the outputs of a signature come from, and what runs when it is asked.

Two reachabilities, and rules need both. *Influences*: whose value can change an output; follows data, predicates, loop
conditions, gather indices and state, and stops at Shape and its like. *Running*: what the server executes; follows
control inputs and a function's control returns too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, FrozenSet, Iterable, List, Mapping, Set, Tuple

from signatures.dataflow import Fed, data_inputs, plan, resolve, solve, sources
from signatures.errors import UsageError
from signatures.saved_model import Graph, Place, SavedModel, Signature, node_name
from signatures.sources import Library, Mask, Origin, Solution, bits, library, union
from signatures.transfer import callees_of, needs


@dataclass(frozen=True)
class Trace:
    """What is known of one signature."""

    influences: Mapping[str, FrozenSet[Origin]]
    """Output -> every input, placeholder, asset and variable whose value can change it."""
    running: Tuple[Place, ...]
    """Every node that is executed."""
    live: Tuple[Place, ...]
    """Those of them that can change an output."""
    files: Mapping[Origin, FrozenSet[Origin]]
    """File op -> the sources of the names it opens."""
    fed: Fed
    solution: Solution

    def inputs(self, output: str) -> FrozenSet[str]:
        """The inputs of the signature that can change an output."""
        return frozenset(origin.name for origin in self.influences[output] if origin.kind == "input")


class Tracer:
    """Traces the signatures of one model; functions that several of them call are solved once."""

    def __init__(self, model: SavedModel) -> None:
        self.model = model
        self.library = library(model.functions)

    def signature(self, signature: Signature) -> Trace:
        """The trace of one signature. Raises UsageError where the graph contradicts itself."""
        fed: Dict[str, Mask] = {}
        for name, info in signature.inputs.items():
            for tensor in info.tensors:
                if node_name(tensor) not in self.model.graph.nodes:
                    raise UsageError(
                        f"input {name!r} of signature {signature.name!r} is {tensor!r}, which is not in the graph; "
                        "export the model again"
                    )
                fed[tensor] = fed.get(tensor, 0) | 1 << self.library.bit(Origin("input", name))
        return self._trace(fed, {name: info.tensors for name, info in signature.outputs.items()}, ())

    def init(self) -> Trace:
        """The trace of what runs when the model is loaded; it has no outputs."""
        fed = {asset.tensor: 1 << self.library.bit(Origin("asset", asset.filename)) for asset in self.model.assets}
        return self._trace(fed, {}, self.model.init)

    def _trace(self, fed: Fed, outputs: Mapping[str, Tuple[str, ...]], also: Tuple[str, ...]) -> Trace:
        graph = self.model.graph
        tensors = [tensor for each in outputs.values() for tensor in each]
        planned = plan(graph, fed, [*tensors, *(f"^{name}" for name in also)])
        solution = solve(self.library, graph, fed, planned)
        masks = {name: union([sources(solution, graph, fed, each) for each in outputs[name]]) for name in outputs}
        masks = {name: _with_written(mask, solution.writes) for name, mask in masks.items()}
        names = {bit: origin for origin, bit in self.library.origins.items()}
        files = {
            names[bit]: frozenset(names[each] for each in bits(_with_written(mask, solution.writes)))
            for bit, mask in solution.writes.items()
            if names[bit].kind == "file"
        }
        return Trace(
            influences={name: frozenset(names[bit] for bit in bits(mask)) for name, mask in masks.items()},
            running=_running(self.library, graph, planned.order),
            live=_live(self.library, graph, fed, tensors),
            files=files,
            fed=fed,
            solution=solution,
        )


def _with_written(mask: Mask, writes: Mapping[int, Mask]) -> Mask:
    """Adds to what is read from a variable whatever the same run may write there."""
    seen = 0
    while mask != seen:
        new, seen = mask & ~seen, mask
        mask |= union([writes.get(bit, 0) for bit in bits(new)])
    return mask


def _running(library: Library, graph: Graph, order: Iterable[str]) -> Tuple[Place, ...]:
    """The planned nodes and, function by function, those that their calls run."""
    places: List[Place] = []
    seen: Set[str] = set()
    pending: List[Tuple[Graph, Iterable[str]]] = [(graph, order)]
    while pending:
        where, names = pending.pop()
        for name in names:
            node = where.nodes[name]
            places.append(Place(where.name, node))
            for callee in callees_of(library, node):
                if callee not in seen:
                    seen.add(callee)
                    called = library.functions[callee]
                    pending.append((called, library.solutions[callee].masks))
    return tuple(places)


def _live(library: Library, graph: Graph, fed: Fed, tensors: Iterable[str]) -> Tuple[Place, ...]:
    """The nodes whose value can change one of the tensors."""
    places: Dict[Tuple[str, str], Place] = {}
    seen: Set[Tuple[str, str]] = set()
    pending: List[Tuple[Graph, str]] = []

    def need(where: Graph, reference: str) -> None:
        if (where.name, reference) not in seen:
            seen.add((where.name, reference))
            pending.append((where, reference))

    for tensor in tensors:
        need(graph, tensor)
    while pending:
        where, reference = pending.pop()
        name, key, index = resolve(where, reference)
        if name not in where.nodes if where.name else key in fed:
            continue
        node = where.nodes[name]
        places.setdefault((where.name, name), Place(where.name, node))
        inputs = data_inputs(node)
        needed = needs(library, node, index, len(inputs))
        for each in needed.inputs:
            if each < len(inputs):
                need(where, inputs[each])
        for function, place in needed.returns:
            called = library.functions[function]
            if place < len(called.returns):
                need(called, called.returns[place])
    return tuple(places.values())
