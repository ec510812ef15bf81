"""Signatures that take a serialized tf.Example: which features are parsed out of it.

Such a signature has one input, a string; what clients must know are the keys that the graph parses. Each is a source of
its own, so that a mask among them is told from a feature.
"""

from __future__ import annotations

from typing import Iterator, List, NamedTuple, Optional, Tuple

from signatures.saved_model import Graph, Node, node_name

PARSERS = ("ParseExample", "ParseExampleV2", "ParseSingleExample")
SECTIONS = ("sparse_indices", "sparse_values", "sparse_shapes", "dense_values", "ragged_values", "ragged_row_splits")
"""The outputs of a parser, each a list, in their order."""


class Output(NamedTuple):
    """One output: the key it comes from, and for a dense one which of the defaults stands in for it."""

    key: str
    default: Optional[int]
    required: bool = False
    """True where there is no default, so that every example must have the key."""


class Keys(NamedTuple):
    """What a parser's outputs are; the last so many inputs are the defaults of the dense ones."""

    outputs: Tuple[Output, ...]
    defaults: int


def keys(graph: Graph, node: Node) -> Optional[Keys]:
    """The keys of a parser's outputs; None where the graph computes them, so that they are not known."""
    found = _keys(graph, node)
    if found is None:
        return None
    sparse, dense, ragged = found
    inputs = [each for each in node.inputs if not each.startswith("^")]
    others = {"ParseExampleV2": 5, "ParseSingleExample": 1}.get(node.op, 2 + len(sparse) + len(dense))
    if len(inputs) != others + len(dense) or not sparse + dense + ragged:
        return None
    outputs = [Output(key, None) for key in sparse * 3]
    defaults = inputs[len(inputs) - len(dense) :]
    outputs += [Output(key, place, _is_empty(graph, defaults[place])) for place, key in enumerate(dense)]
    outputs += [Output(key, None) for key in ragged * 2]
    return Keys(tuple(outputs), len(dense))


def first(graph: Graph, node: Node, section: str) -> int:
    """The place of a section's first output among all outputs of a parser."""
    found = _keys(graph, node)
    if found is None:
        return 0
    sparse, dense, ragged = map(len, found)
    lengths = (sparse, sparse, sparse, dense, ragged, ragged)
    return sum(lengths[: SECTIONS.index(section)])


def _keys(graph: Graph, node: Node) -> Optional[Tuple[List[str], List[str], List[str]]]:
    """Sparse, dense and ragged keys."""
    if node.op == "ParseSingleExample":
        return _texts(node.attributes.get("sparse_keys", ())), _texts(node.attributes.get("dense_keys", ())), []
    inputs = [each for each in node.inputs if not each.startswith("^")]
    constants = [_constant(graph, each) for each in inputs[2:]]
    if node.op == "ParseExampleV2":
        if len(constants) < 3 or None in constants[:3]:
            return None
        sparse, dense, ragged = (each or [] for each in constants[:3])
        return sparse, dense, ragged
    given = [node.attributes.get(name) for name in ("Nsparse", "Ndense")]
    counts = [each for each in given if isinstance(each, int) and 0 <= each <= len(constants)]
    scalars = list(_scalars(constants[: sum(counts)]))
    if len(counts) != 2 or len(scalars) != sum(counts):
        return None
    return scalars[: counts[0]], scalars[counts[0] :], []


def _is_empty(graph: Graph, reference: str) -> bool:
    """Whether a default is a constant without a cell, which is how TensorFlow writes that there is none."""
    node = graph.nodes.get(node_name(reference))
    return node is not None and node.op == "Const" and node.attributes.get("value") == ()


def _scalars(constants: List[Optional[List[str]]]) -> Iterator[str]:
    return (each[0] for each in constants if each is not None and len(each) == 1)


def _constant(graph: Graph, reference: str) -> Optional[List[str]]:
    node = graph.nodes.get(node_name(reference))
    if node is None or node.op != "Const":
        return None
    value = node.attributes.get("value")
    return _texts(value) if isinstance(value, tuple) else None


def _texts(values: object) -> List[str]:
    found = values if isinstance(values, tuple) else ()
    return [each.decode(errors="replace") for each in found if isinstance(each, bytes)]
