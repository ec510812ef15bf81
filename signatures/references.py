"""How tensors are written: `node:1` in the main graph, `node:output:1` in a function, `^node` for control alone."""

from __future__ import annotations

from functools import lru_cache
from typing import Dict, List, Tuple

from signatures import parsing
from signatures.saved_model import Graph, Node, tensor_name
from signatures.sources import Readers


def resolve(graph: Graph, reference: str) -> Tuple[str, str, int]:
    """(node, key under which it is fed, place of the output) of a tensor.

    In a function an argument is `name`, or `name:1` for a list of them, and a tensor is `node:output:1`.
    """
    node, _, rest = reference.partition(":")
    section, index = _place(rest)
    if section in parsing.SECTIONS and node in graph.nodes and graph.nodes[node].op in parsing.PARSERS:
        index += parsing.first(graph, graph.nodes[node], section)
    return node, node if graph.name else reference if rest else tensor_name(reference), index


def readers(graph: Graph) -> Readers:
    """Who reads what in a graph."""
    found: Dict[str, List[Tuple[Node, int, str]]] = {}
    for node in graph.nodes.values():
        for position, reference in enumerate(data_inputs(node)):
            name = reference.partition(":")[0]
            if name in found:
                found[name].append((node, position, reference))
            else:
                found[name] = [(node, position, reference)]
    return found


def data_inputs(node: Node) -> List[str]:
    """The inputs that carry values, in order."""
    return [each for each in node.inputs if each[:1] != "^"]


@lru_cache(maxsize=4096)
def _place(rest: str) -> Tuple[str, int]:
    """What is behind the node's name: `output:1` or `1`; nothing means 0."""
    section, _, place = rest.rpartition(":")
    return section, int(place) if place.isdecimal() and len(place) < 10 else 0
