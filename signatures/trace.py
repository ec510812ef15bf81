"""What the outputs of a signature come from, and what runs when it is asked.

Two reachabilities, and rules need both. *Influences*: whose value can change an output; follows data, predicates, loop
conditions, gather indices and state, and of Shape and its like only what the shape depends on. *Running*: what the
server executes; follows control inputs and a function's control returns too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, FrozenSet, Iterable, Mapping, Tuple

from signatures.callees import callees_of
from signatures.dataflow import solve, sources
from signatures.errors import UsageError
from signatures.liveness import live
from signatures.planning import Fed, plan
from signatures.saved_model import Node, Place, SavedModel, Signature, node_name
from signatures.sources import Mask, Origin, Solution, bits, library, union

Places = Mapping[str, Place]
"""By the name of the node."""


@dataclass(frozen=True)
class Trace:
    """What is known of one signature."""

    influences: Mapping[str, FrozenSet[Origin]]
    """Output -> every input, parsed key, placeholder, asset and variable whose value can change it."""
    running: Tuple[Place, ...]
    """Every node that is executed."""
    live: Tuple[Place, ...]
    """Those of them that can change an output."""
    files: Mapping[Origin, FrozenSet[Origin]]
    """File op -> the sources of the names it opens."""
    fed: Fed
    solution: Solution
    parsed: Mapping[str, FrozenSet[str]] = field(default_factory=dict)
    """Key of a tf.Example that the graph parses -> the inputs of the signature that carry the serialized examples."""

    def inputs(self, output: str) -> FrozenSet[str]:
        """The inputs of the signature that can change an output."""
        return frozenset(origin.name for origin in self.influences[output] if origin.kind == "input")

    def keys(self, output: str) -> FrozenSet[str]:
        """The keys of parsed tf.Examples that can change an output."""
        return frozenset(origin.name for origin in self.influences[output] if origin.kind == "parsed")


class Tracer:
    """Traces the signatures of one model; functions that several of them call are solved once."""

    def __init__(self, model: SavedModel) -> None:
        self.model = model
        self.library = library(model.functions)
        self._places: Dict[str, Places] = {}

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
        origins = {bit: origin for origin, bit in self.library.origins.items()}
        written = {
            origins[bit]: frozenset(origins[each] for each in bits(_with_written(mask, solution.writes)))
            for bit, mask in solution.writes.items()
            if origins[bit].kind in ("file", "parsed")
        }
        running = self._running(planned.nodes)
        return Trace(
            influences={name: frozenset(origins[bit] for bit in bits(mask)) for name, mask in masks.items()},
            running=tuple(place for places in running.values() for place in places.values()),
            live=live(self.library, graph, fed, tensors, running),
            files={origin: found for origin, found in written.items() if origin.kind == "file"},
            fed=fed,
            solution=solution,
            parsed={
                origin.name: frozenset(each.name for each in found if each.kind == "input")
                for origin, found in written.items()
                if origin.kind == "parsed"
            },
        )

    def _running(self, nodes: Iterable[Node]) -> Dict[str, Places]:
        """The planned nodes and those that their calls run, by the function that they are in."""
        found: Dict[str, Places] = {"": {node.name: Place("", node) for node in nodes}}
        pending = [""]
        while pending:
            for place in found[pending.pop()].values():
                for callee in callees_of(self.library, place.node):
                    if callee not in found:
                        found[callee] = self._body(callee)
                        pending.append(callee)
        self.library.spend(sum(map(len, found.values())) >> 3)
        return found

    def _body(self, function: str) -> Places:
        """What a call of a function runs in its own body; the same objects for every signature."""
        if function not in self._places:
            nodes, planned = self.library.functions[function].nodes, self.library.solutions[function].masks
            self._places[function] = {name: Place(function, nodes[name]) for name in planned}
        return self._places[function]


def _with_written(mask: Mask, writes: Mapping[int, Mask]) -> Mask:
    """Adds to what is read from a variable whatever the same run may write there."""
    seen = 0
    while mask != seen:
        new, seen = mask & ~seen, mask
        mask |= union([writes.get(bit, 0) for bit in bits(new)])
    return mask
