"""Graphs with ops that this binary lacks: the rest of the model is served, as the real server does.

TensorFlow Serving loads such a model, and fails each request that reaches the op. Python's importer refuses the whole
graph, so what calls such an op is taken out first, and remembered.
"""

from __future__ import annotations

from typing import Dict, Optional

from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow.python.framework import op_def_registry

from serving.embedded import reach


def remove(meta_graph: meta_graph_pb2.MetaGraphDef) -> Dict[str, str]:
    """Takes out of the graph each node that needs an unknown op; node -> the op."""
    graph = meta_graph.graph_def
    own = {function.signature.name for function in graph.library.function}

    def unknown(node: node_def_pb2.NodeDef) -> Optional[str]:
        return str(node.op) if node.op not in own and op_def_registry.get(node.op) is None else None

    gone = reach.nodes(graph, unknown)
    if not gone:
        return {}
    through = reach.functions(graph, unknown)
    # Assignment to a repeated field is not allowed; the kept messages are copied before the field is emptied.
    pruned = type(graph)(node=[node for node in graph.node if node.name not in gone], versions=graph.versions)
    kept = [function for function in graph.library.function if function.signature.name not in through]
    pruned.library.function.extend(kept)
    pruned.library.gradient.extend(graph.library.gradient)
    graph.CopyFrom(pruned)
    return gone
