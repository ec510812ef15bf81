"""Where an input goes as it is: through reshapes, casts, calls and loops, to the nodes that first compute with it.

The tracer says what an output depends on; this says what an input is used *as*. A value counts as the input's own while
it is moved, reshaped, rounded or cast, and as an *id* of it once it is a whole number or a string.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Iterator, List, NamedTuple, Set, Tuple

from signatures import ops
from signatures.callees import callees_of
from signatures.references import readers, resolve
from signatures.saved_model import Graph, Node, Place, tensor_name
from signatures.sources import Library


class Use(NamedTuple):
    """A node that takes the value as its data input number `position`; is_id: after it became a whole number."""

    place: Place
    position: int
    is_id: bool


class _Tensor(NamedTuple):
    graph: str
    node: str
    output: int
    is_id: bool


# Ops whose output is their input 0, moved about.
_MOVES = (
    *ops.FORWARDS,
    *("Reshape", "ExpandDims", "Squeeze", "Transpose", "Tile", "BroadcastTo", "StridedSlice", "Slice", "Round", "Rint"),
    *("Floor", "TensorListFromTensor", "TensorListGetItem", "TensorListStack", "TensorArrayReadV3"),
)
# What is done to ids on their way to a table: bounds, offsets, buckets.
_ID_ARITHMETIC = (
    "Maximum",
    "Minimum",
    "FloorMod",
    "AddV2",
    "Add",
    "Sub",
    "ClipByValue",
    "SelectV2",
    "Select",
    "AsString",
)
_WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


@dataclass
class _Walk:
    library: Library
    main: Graph
    callers: Dict[str, Set[Tuple[str, str]]] = field(default_factory=dict)
    """Function -> (graph, node) of the calls that the value was seen to enter by."""
    seen: Set[_Tensor] = field(default_factory=set)
    pending: List[_Tensor] = field(default_factory=list)

    def graph(self, name: str) -> Graph:
        return self.library.functions[name] if name else self.main

    def reach(self, tensor: _Tensor) -> None:
        if tensor not in self.seen:
            self.seen.add(tensor)
            self.pending.append(tensor)

    def readers_of(self, tensor: _Tensor) -> Iterator[Tuple[Node, int]]:
        """Which nodes of its graph read a tensor, and as which input; the graph is gone through once."""
        graph = self.graph(tensor.graph)
        if graph.name not in self.library.readers:
            self.library.readers[graph.name] = readers(graph)
        for node, position, reference in self.library.readers[graph.name].get(tensor.node, ()):
            if resolve(graph, reference)[2] == tensor.output:
                yield node, position


def uses(library: Library, main: Graph, tensors: Tuple[str, ...]) -> Iterator[Use]:
    """The nodes that take one of these tensors of the main graph, unchanged or as an id, wherever it is handed to.

    Calls are not told apart: a value that enters a function leaves it at every call that it entered by.
    """
    walk = _Walk(library, main)
    for reference in tensors:
        source, _, output = resolve(main, tensor_name(reference))
        walk.reach(_Tensor("", source, output, False))
    while walk.pending:
        tensor = walk.pending.pop()
        for node, position in walk.readers_of(tensor):
            yield Use(Place(tensor.graph, node), position, tensor.is_id)
            _hand_on(walk, tensor, node, position)
        _return(walk, tensor)


def _hand_on(walk: _Walk, tensor: _Tensor, node: Node, position: int) -> None:
    """Reaches the outputs of a node, and the arguments of its functions, that are the value."""
    if node.op in ("IdentityN", *ops.LOOPS):
        walk.reach(_Tensor(tensor.graph, node.name, position, tensor.is_id))
    elif position == 0 and node.op in _MOVES:
        walk.reach(_Tensor(tensor.graph, node.name, 0, tensor.is_id))
    elif node.op == "Cast":
        whole = node.attributes.get("DstT") in _WHOLE
        walk.reach(_Tensor(tensor.graph, node.name, 0, tensor.is_id or whole))
    elif node.op == "AsString" or (tensor.is_id and node.op in _ID_ARITHMETIC):
        walk.reach(_Tensor(tensor.graph, node.name, 0, True))
    for callee in callees_of(walk.library, node):
        if callee not in walk.library.summaries:  # what nobody runs was not solved, and may not even be there
            continue
        place = position - 1 if node.op in ops.BRANCHES else position
        arguments = walk.library.functions[callee].arguments
        if 0 <= place < len(arguments):
            callers = walk.callers.setdefault(callee, set())
            if (tensor.graph, node.name) not in callers:
                callers.add((tensor.graph, node.name))
                # What was seen to be returned leaves by this call too.
                again = [each for each in walk.seen if each.graph == callee]
                walk.pending += again
            walk.reach(_Tensor(callee, arguments[place], 0, tensor.is_id))


def _return(walk: _Walk, tensor: _Tensor) -> None:
    """Reaches the outputs of the calls of a function that returns the value."""
    if not tensor.graph:
        return
    graph = walk.graph(tensor.graph)
    for place, reference in enumerate(graph.returns):
        node, _, output = resolve(graph, reference)
        if (node, output) == (tensor.node, tensor.output):
            for caller, name in walk.callers.get(tensor.graph, ()):
                walk.reach(_Tensor(caller, name, place, tensor.is_id))
