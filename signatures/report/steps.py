"""A signature's computation as one flat graph: calls are opened, nodes that only hand on are left out.

Only what an input can change is kept, and what comes from a node that a finding is about, such as one that draws random
numbers: such a *source* counts as one more input. Branches and loops stay one step each, and so do calls once STEPS is
reached: a function that calls two that call two … has no end that one could draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from signatures import ops, parsing
from signatures.callees import callees_of, is_call
from signatures.export import Export
from signatures.needs import needs
from signatures.planning import Fed, arguments
from signatures.references import data_inputs, resolve
from signatures.saved_model import Graph, Node, Place, Signature
from signatures.sources import Library, Mask, Solution, substitute

STEPS = 20_000


class Step(NamedTuple):
    """A node in one of its calls. `inputs` has bit i when input i can change it; sources are numbered after inputs."""

    place: Place
    inputs: Mask
    within: FrozenSet[str]
    """Functions that it calls and that are not drawn."""


@dataclass(frozen=True)
class Flow:
    """Steps, and what each takes and each output is: places of steps, or ~i for input i, as Export.given has them."""

    steps: Sequence[Step]
    taken: Mapping[int, Sequence[int]]
    outputs: Mapping[str, Sequence[int]]

    def order(self) -> Dict[int, int]:
        """Each step's turn: after all that it takes, unless a TF1 loop leads back."""
        turns: Dict[int, int] = {}
        opened: Set[int] = set()
        pending = [each for sources in self.outputs.values() for each in sources]
        while pending:
            each = pending[-1]
            if each < 0 or each in turns:
                pending.pop()
            elif each in opened:
                turns[pending.pop()] = len(turns)
            else:
                opened.add(each)
                pending += [source for source in self.taken[each] if source not in opened]
        return turns


class _Call(NamedTuple):
    """A graph at one place of the call tree."""

    graph: Graph
    solution: Solution
    fed: Fed
    passed: Tuple[str, ...] = ()
    masks: Tuple[Mask, ...] = ()
    caller: Optional[int] = None


def flow(export: Export, signature: Signature, sources: Sequence[Place] = (), shapes: bool = False) -> Flow:
    """The steps from what clients give, and from some nodes that no input can change, to its outputs.

    Shape and its like are where the way ends: what they see of an input is how many rows were asked for. With `shapes`
    they are gone through, for the rare input that is in nothing but the shape of a tensor.
    """
    walk = _Walk(export, signature, sources, shapes)
    outputs = {
        name: sorted({source for tensor in info.tensors for source in walk.sources(0, tensor)})
        for name, info in signature.outputs.items()
    }
    walk.run()
    return _reached(Flow(walk.steps, walk.taken, outputs))


def _reached(found: Flow) -> Flow:
    """The flow with what reaches each step, without the steps that nothing reaches."""
    reached: Dict[int, Mask] = dict.fromkeys(range(len(found.steps)), 0)
    order, changed = list(found.order()), True
    while changed:  # a second time where a TF1 loop leads back
        changed = False
        for place in order:
            mask = reached[place]
            for source in found.taken[place]:
                mask |= 1 << ~source if source < 0 else reached[source]
            changed = changed or mask != reached[place]
            reached[place] = mask
    kept = [place for place, mask in reached.items() if mask]
    number = {place: nth for nth, place in enumerate(kept)}

    def renumbered(sources: Sequence[int]) -> List[int]:
        return [each if each < 0 else number[each] for each in sources if each < 0 or each in number]

    return Flow(
        steps=[found.steps[place]._replace(inputs=reached[place]) for place in kept],
        taken={number[place]: renumbered(found.taken[place]) for place in kept},
        outputs={name: renumbered(sources) for name, sources in found.outputs.items()},
    )


class _Walk:
    """The walk back from the outputs."""

    def __init__(self, export: Export, signature: Signature, sources: Sequence[Place], shapes: bool) -> None:
        trace, tracer = export.trace(signature.name), export.tracer()
        self.shapes = shapes
        self.library: Library = tracer.library
        self.bits = {self.library.bit(each.origin): place for place, each in enumerate(export.given(signature))}
        self.numbers = {(each.graph, each.node.name): len(self.bits) + nth for nth, each in enumerate(sources)}
        self.calls: List[_Call] = [_Call(export.model.graph, trace.solution, trace.fed)]
        self.opened: Dict[Tuple[int, str], int] = {}
        self.steps: List[Step] = []
        self.taken: Dict[int, List[int]] = {}
        self.numbered: Dict[Tuple[int, str, int], int] = {}
        self.pending: List[Tuple[int, int, Node, int]] = []

    def run(self) -> None:
        """Follows every step that was met to what it takes."""
        while self.pending:
            step, call, node, index = self.pending.pop()
            inputs = data_inputs(node)
            wanted = needs(self.library, node, index, len(inputs)).inputs
            found = [each for place in wanted if place < len(inputs) for each in self.sources(call, inputs[place])]
            self.taken[step] = sorted(set(found))

    def sources(self, call: int, reference: str) -> List[int]:
        """The step that a tensor comes from, or the inputs that it is; nothing when no input changes it."""
        seen: Set[Tuple[int, str]] = set()
        while (call, reference) not in seen:
            seen.add((call, reference))
            where = self.calls[call]
            name, key, index = resolve(where.graph, reference)
            if key in where.fed:
                if where.caller is None:
                    return [~self.bits[bit] for bit in self.bits if where.fed[key] >> bit & 1]
                call, reference = where.caller, where.passed[where.graph.arguments.index(key)]
                continue
            if (where.graph.name, name) in self.numbers:
                return [~self.numbers[where.graph.name, name]]
            node = where.graph.nodes[name]
            given = [place for bit, place in self.bits.items() if self._known(call, name, index) >> bit & 1]
            if not (self.numbers or given) or (node.op in ops.VALUELESS and not self.shapes):
                return []
            if node.op in parsing.PARSERS:  # what a client gives are the keys that come out of it
                return [~place for place in given]
            inputs = data_inputs(node)
            if node.op in ops.FORWARDS or (node.op == "IdentityN" and index < len(inputs)):
                reference = inputs[index]
                continue
            inner = self._inner(call, node, inputs)
            if inner is None or index >= len(self.calls[inner].graph.returns):
                return [self._step(call, node, index)]
            call, reference = inner, self.calls[inner].graph.returns[index]
        return []

    def _known(self, call: int, name: str, index: int) -> Mask:
        """What can change an output of a node, in the terms of the main graph."""
        where = self.calls[call]
        found = where.solution.masks.get(name, (0,))
        mask = found[index] if index < len(found) else found[0]
        return mask if where.caller is None else substitute(mask, where.masks, self.library.width, where.masks)

    def _inner(self, call: int, node: Node, inputs: Sequence[str]) -> Optional[int]:
        """The call of a function, opened once; None for what is not opened."""
        callees = callees_of(self.library, node)
        if not is_call(self.library, node, callees, len(inputs)) or len(self.steps) + len(self.calls) > STEPS:
            return None
        graph = self.library.functions[callees[0]]
        if (call, node.name) not in self.opened:
            masks = tuple(self._mask(call, each) for each in inputs)
            opened = _Call(graph, self.library.solutions[graph.name], arguments(graph), tuple(inputs), masks, call)
            self.opened[call, node.name] = len(self.calls)
            self.calls.append(opened)
        return self.opened[call, node.name]

    def _mask(self, call: int, reference: str) -> Mask:
        """The sources of a tensor, in the terms of the main graph."""
        where = self.calls[call]
        name, key, index = resolve(where.graph, reference)
        if key not in where.fed:
            return self._known(call, name, index)
        mask = where.fed[key]
        return mask if where.caller is None else substitute(mask, where.masks, self.library.width, where.masks)

    def _step(self, call: int, node: Node, index: int) -> int:
        """The step of a node; a node whose outputs come from different inputs is one step for each."""
        where = self.calls[call]
        place = index if len(where.solution.masks.get(node.name, ())) > 1 else 0
        key = (call, node.name, place)
        if key not in self.numbered:
            self.numbered[key] = len(self.steps)
            self.pending.append((len(self.steps), call, node, index))
            self.steps.append(Step(Place(where.graph.name, node), 0, self._within(node)))
        return self.numbered[key]

    def _within(self, node: Node) -> FrozenSet[str]:
        found: Set[str] = set()
        pending = list(callees_of(self.library, node))
        while pending:
            name = pending.pop()
            if name not in found:
                found.add(name)
                nodes = self.library.functions[name].nodes.values()
                pending += [each for inner in nodes for each in callees_of(self.library, inner)]
        return frozenset(found)
