"""Functions that demand XLA (`jit_compile=True`): the official server refuses to compile them unless told otherwise.

Such a model loads, and then every request fails. Python's TensorFlow would compile it without a word, and the defect
would first be seen in production.
"""

from __future__ import annotations

from typing import Any, Dict, Optional

from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from serving.embedded import reach

_MUST_COMPILE = "_XlaMustCompile"
REFUSAL = "XLA compilation disabled"


def compiled(meta_graph: meta_graph_pb2.MetaGraphDef) -> Dict[str, str]:
    """The nodes whose value comes out of a function that must be compiled, with the call that reaches it."""
    graph = meta_graph.graph_def
    must = {function.signature.name for function in graph.library.function if _marked(function)}

    def demands(node: node_def_pb2.NodeDef) -> Optional[str]:
        return str(node.name) if _marked(node) or any(name in must for name in reach.called(node)) else None

    return reach.nodes(graph, demands)


def _marked(message: Any) -> bool:
    # `in` first: reading a missing attribute of a proto's map would add it.
    return _MUST_COMPILE in message.attr and message.attr[_MUST_COMPILE].b
