"""Graphs with ops that this binary lacks: the rest of the model is served, as the real server does.

TensorFlow Serving loads such a model, and fails each request that reaches the op. Python's importer refuses the whole
graph, so what calls such an op is taken out first, and remembered.
"""

from __future__ import annotations

from typing import Dict, Iterable, Iterator, Optional

from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow.python.framework import op_def_registry


def remove(meta_graph: meta_graph_pb2.MetaGraphDef) -> Dict[str, str]:
    """Takes out of the graph each node that needs an unknown op; node -> the op."""
    graph = meta_graph.graph_def
    functions = {function.signature.name: function.node_def for function in graph.library.function}
    unknown = _unknown_functions(functions)
    gone: Dict[str, str] = {}
    for node in graph.node:
        op = _reached(node, unknown, functions)
        if op is not None:
            gone[node.name] = op
    if not gone:
        return {}
    _spread(graph.node, gone)
    kept = [node for node in graph.node if node.name not in gone]
    kept_functions = [function for function in graph.library.function if function.signature.name not in unknown]
    # Assignment to a repeated field is not allowed; the kept messages are copied before the field is emptied.
    pruned = type(graph)(node=kept, versions=graph.versions)
    pruned.library.function.extend(kept_functions)
    pruned.library.gradient.extend(graph.library.gradient)
    graph.CopyFrom(pruned)
    return gone


def _unknown_functions(functions: Dict[str, Iterable[node_def_pb2.NodeDef]]) -> Dict[str, str]:
    """The functions that reach an unknown op, directly or through others, with the op."""
    unknown: Dict[str, str] = {}
    changed = True
    while changed:
        changed = False
        for name, nodes in functions.items():
            if name not in unknown:
                op = next(filter(None, (_reached(node, unknown, functions) for node in nodes)), None)
                if op is not None:
                    unknown[name], changed = op, True
    return unknown


def _reached(node: node_def_pb2.NodeDef, unknown: Dict[str, str], functions: Iterable[str]) -> Optional[str]:
    """The unknown op that a node is, or calls."""
    if node.op not in functions and op_def_registry.get(node.op) is None:
        return str(node.op)
    return next((unknown[name] for name in _called(node) if name in unknown), None)


def _called(node: node_def_pb2.NodeDef) -> Iterator[str]:
    yield node.op
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        for function in value.list.func:
            yield function.name


def _spread(nodes: Iterable[node_def_pb2.NodeDef], gone: Dict[str, str]) -> None:
    """Adds every node that depends on a removed one."""
    changed = True
    while changed:
        changed = False
        for node in nodes:
            if node.name in gone:
                continue
            sources = (source.lstrip("^").partition(":")[0] for source in node.input)
            op = next((gone[source] for source in sources if source in gone), None)
            if op is not None:
                gone[node.name], changed = op, True
