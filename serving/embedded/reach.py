"""Which nodes of a graph reach an op of some kind: by being it, calling it, or depending on who does."""

from __future__ import annotations

from typing import Callable, Dict, Iterable, Iterator, Optional

from tensorflow.core.framework import graph_pb2, node_def_pb2

Offence = Callable[[node_def_pb2.NodeDef], Optional[str]]
"""What is wrong with a node by itself; None for nothing."""


def nodes(graph: graph_pb2.GraphDef, offence: Offence) -> Dict[str, str]:
    """The nodes of the graph that reach an offence, and which."""
    through = functions(graph, offence)
    found: Dict[str, str] = {}
    for node in graph.node:
        reached = _reached(node, offence, through)
        if reached is not None:
            found[node.name] = reached
    if found:
        _spread(graph.node, found)
    return found


def functions(graph: graph_pb2.GraphDef, offence: Offence) -> Dict[str, str]:
    """The functions that reach an offence, directly or through others, and which."""
    through: Dict[str, str] = {}
    changed = True
    while changed:
        changed = False
        for function in graph.library.function:
            name = function.signature.name
            if name not in through:
                reached = (_reached(node, offence, through) for node in function.node_def)
                first = next((each for each in reached if each is not None), None)
                if first is not None:
                    through[name], changed = first, True
    return through


def called(node: node_def_pb2.NodeDef) -> Iterator[str]:
    """The names of the functions that a node calls; its own op is one of them in old graphs."""
    yield node.op
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        for function in value.list.func:
            yield function.name


def _reached(node: node_def_pb2.NodeDef, offence: Offence, through: Dict[str, str]) -> Optional[str]:
    own = offence(node)
    if own is not None:
        return own
    return next((through[name] for name in called(node) if name in through), None)


def _spread(graph_nodes: Iterable[node_def_pb2.NodeDef], found: Dict[str, str]) -> None:
    """Adds every node that depends on one already found."""
    changed = True
    while changed:
        changed = False
        for node in graph_nodes:
            if node.name in found:
                continue
            sources = (source.lstrip("^").partition(":")[0] for source in node.input)
            reached = next((found[source] for source in sources if source in found), None)
            if reached is not None:
                found[node.name], changed = reached, True
