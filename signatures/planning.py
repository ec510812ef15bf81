"""The nodes behind some tensors, each after those that it needs."""

from __future__ import annotations

from typing import Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from signatures.errors import UsageError
from signatures.saved_model import Graph, Node
from signatures.sources import Mask

Fed = Mapping[str, Mask]
"""Tensors whose sources are given: arguments of a function, inputs of a signature."""


class Plan(NamedTuple):
    """The nodes that some roots need, each after what it needs; cyclic where that is impossible, in TF1 loops."""

    nodes: Tuple[Node, ...]
    cyclic: bool


def plan(graph: Graph, fed: Fed, roots: Iterable[str]) -> Plan:
    """The nodes behind some tensors and `^nodes`, through data and control inputs, cut at what is fed."""
    nodes = graph.nodes
    planned: List[Node] = []
    finished: Dict[str, bool] = {}
    cyclic = False
    stack: List[Tuple[Optional[Node], Iterator[str]]] = [(None, iter(_behind(graph, fed, roots)))]
    while stack:
        reader, needed = stack[-1]
        step = next(needed, None)
        if step is None:
            stack.pop()
            if reader is not None:
                finished[reader.name] = True
                planned.append(reader)
        elif step not in finished:
            node = nodes.get(step)
            if node is None:
                raise _missing(graph, reader, step)
            finished[step] = False
            stack.append((node, iter(_behind(graph, fed, node.inputs) if node.inputs else ())))
        elif not finished[step]:
            cyclic = True
    return Plan(tuple(planned), cyclic)


def arguments(graph: Graph) -> Fed:
    """The arguments of a function, each its own source."""
    return {name: 1 << place for place, name in enumerate(graph.arguments)}


def roots(graph: Graph) -> Tuple[str, ...]:
    """What a call of a function makes run: its returns, and what runs at every call."""
    return graph.returns + tuple(f"^{name}" for name in graph.control_returns)


def _behind(graph: Graph, fed: Fed, references: Iterable[str]) -> List[str]:
    """The nodes behind references, without those fed."""
    inner, found = bool(graph.name), []
    for reference in references:
        whole = reference.lstrip("^")
        name, colon, _ = whole.partition(":")
        if (name if inner else whole if colon else f"{name}:0") not in fed:
            found.append(name)
    return found


def _missing(graph: Graph, reader: Optional[Node], name: str) -> UsageError:
    """What to say of a node that is read and does not exist."""
    references = graph.returns if reader is None else reader.inputs
    said = next((each for each in references if each.lstrip("^").partition(":")[0] == name), f"{name}:0")
    who = "an output" if reader is None else f"node {reader.name!r}"
    where = f"function {graph.name!r}" if graph.name else "the graph"
    return UsageError(f"{who} of {where} reads {said!r}, which is not there; export the model again")
