"""What a model may know: entries of its vocabularies, and serialized tf.Examples where it parses them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np

from signatures.saved_model import SavedModel, Shape

PLAIN = (b"a", b"b", b"1", b"2")
"""Texts for a model of which none are known."""
MOST = 64
"""Entries taken of one vocabulary."""
_OF_THE_SAVER = ("tensor_names", "shape_and_slices")
"""Ends of names of constants that say how variables are called."""
LARGEST = 2**20
"""Bytes read of one vocabulary, and entries of a constant that is looked at."""


@dataclass(frozen=True)
class Known:
    """What inputs can be given that the model has perhaps seen. `serialized`: tf.Examples."""

    texts: Tuple[bytes, ...] = ()
    integers: Tuple[int, ...] = ()
    serialized: Tuple[bytes, ...] = ()


def known(model: SavedModel, meta_graph: Any) -> Known:
    """The beginnings of text assets and of the constants that fill tables; `meta_graph` is TensorFlow's message."""
    texts, integers = list(_assets(model)), []
    for text, number in _constants(meta_graph.graph_def):
        texts += text
        integers += number
    integers += [int(text) for text in texts if text.lstrip(b"-").isdigit() and len(text) < 19]
    return Known(tuple(dict.fromkeys(texts)), tuple(dict.fromkeys(integers)), tuple(examples(meta_graph)))


def _assets(model: SavedModel) -> Iterator[bytes]:
    for asset in model.assets:
        if asset.present:
            with open(model.path / "assets" / asset.filename, "rb") as file:
                lines = file.read(LARGEST).splitlines()
            yield from (line.split(b"\t")[0] for line in lines[:MOST] if 0 < len(line) < 200)


def _constants(graph: Any) -> Iterator[Tuple[List[bytes], List[int]]]:
    """Entries of one-dimensional constants of texts or of int64: keys of tables are such."""
    from tensorflow import make_ndarray

    for nodes in (graph.node, *(function.node_def for function in graph.library.function)):
        for node in nodes:
            if node.op != "Const" or node.name.endswith(_OF_THE_SAVER):
                continue
            tensor = node.attr["value"].tensor
            dims = tensor.tensor_shape.dim
            if len(dims) != 1 or not 1 < dims[0].size <= LARGEST or tensor.dtype not in (7, 9):
                continue
            found = make_ndarray(tensor)[:MOST].tolist()
            yield (found, []) if tensor.dtype == 7 else ([], found)


def examples(meta_graph: Any, count: int = 8, seed: int = 0) -> List[bytes]:
    """Serialized tf.Examples with every key that the graph parses; empty for a model that parses none."""
    keys = dict(_keys(meta_graph.graph_def))
    for function in meta_graph.graph_def.library.function:
        keys.update(_keys(function, "node_def"))
    draw = np.random.default_rng(seed)
    return [_example(keys, draw) for _ in range(count)] if keys else []


def _keys(graph: Any, field: str = "node") -> Iterator[Tuple[bytes, Tuple[str, Shape]]]:
    """Key -> type and shape of what ParseExample nodes look for."""
    nodes = {node.name: node for node in getattr(graph, field)}
    for node in nodes.values():
        if not node.op.startswith("ParseExample"):
            continue
        constants = [nodes.get(name.lstrip("^").partition(":")[0]) for name in node.input]
        if node.op == "ParseExampleV2":
            sparse, dense = (_strings(each) for each in constants[2:4])
        else:
            count = node.attr["Nsparse"].i
            sparse = [key for each in constants[2 : 2 + count] for key in _strings(each)]
            dense = [key for each in constants[2 + count : 2 + count + node.attr["Ndense"].i] for key in _strings(each)]
        for key, number in zip(sparse, node.attr["sparse_types"].list.type):
            yield key, (_kind(number), ())
        shapes = node.attr["dense_shapes"].list.shape
        for key, number, shape in zip(dense, node.attr["Tdense"].list.type, shapes):
            yield key, (_kind(number), tuple(max(dim.size, 1) for dim in shape.dim))


def _strings(node: Any) -> List[bytes]:
    from tensorflow import make_ndarray

    if node is None or node.op != "Const":
        return []
    return [each for each in np.ravel(make_ndarray(node.attr["value"].tensor)) if isinstance(each, bytes)]


def _kind(number: int) -> str:
    return {1: "float", 9: "int64"}.get(number, "bytes")


def _example(keys: Dict[bytes, Tuple[str, Shape]], draw: np.random.Generator) -> bytes:
    from tensorflow.core.example import example_pb2

    message = example_pb2.Example()
    for key, (kind, shape) in keys.items():
        size = min(math.prod(each or 1 for each in shape or ()), 10_000)
        feature = message.features.feature[key.decode("utf-8", "replace")]
        if kind == "float":
            feature.float_list.value.extend(np.abs(draw.normal(size=size)).tolist())
        elif kind == "int64":
            feature.int64_list.value.extend(draw.integers(0, 2, size).tolist())
        else:
            feature.bytes_list.value.extend(PLAIN[int(draw.integers(0, 4))] for _ in range(size))
    return bytes(message.SerializeToString())
