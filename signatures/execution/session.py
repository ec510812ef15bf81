"""A loaded model: a TF1 session, because that is what a server makes of the file. TensorFlow is imported here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict, List, Mapping

import numpy as np
import tensorflow as tf

from signatures.execution.probe import Answers, Refused
from signatures.execution.recipe import Request
from signatures.saved_model import SavedModel, Signature

_v1: Any = tf.compat.v1


class Session:
    """The restored and initialised graph. One thread computes, so that equal requests are summed in equal order."""

    def __init__(self, model: SavedModel, meta_graph: Any) -> None:
        """`meta_graph` is the served one, in TensorFlow's own class. Raises Refused when it does not load."""
        self._protos = dict(meta_graph.signature_def)
        graph = tf.Graph()
        options = _v1.ConfigProto(
            intra_op_parallelism_threads=1, inter_op_parallelism_threads=1, allow_soft_placement=True
        )
        try:
            with graph.as_default():
                saver = _v1.train.import_meta_graph(meta_graph, clear_devices=True)
                self._session = _v1.Session(graph=graph, config=options)
                if saver is not None and (model.path / "variables" / "variables.index").is_file():
                    saver.restore(self._session, str(model.path / "variables" / "variables"))
                self._initialise(graph, model)
        except (tf.errors.OpError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise _refused(error) from error

    def call(self, signature: Signature, request: Request) -> Answers:
        """All outputs. Of an output of several tensors, such as a sparse one, the first, which holds the values."""
        proto = self._protos[signature.name]
        feeds: Dict[str, Any] = {}
        fetches = {name: info.tensors[0] for name, info in signature.outputs.items()}
        try:
            for name, cells in request.items():
                feeds.update(_feed(proto.inputs[name], cells))
            found: Mapping[str, Any] = self._session.run(fetches, feeds)
        except (tf.errors.OpError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise _refused(error) from error
        return {name: _plain(cells) for name, cells in found.items()}

    def _initialise(self, graph: Any, model: SavedModel) -> None:
        """Fills tables from the assets, as a server does after restoring."""
        operations: List[Any] = [graph.get_operation_by_name(name) for name in model.init]
        assets = {asset.tensor: str(model.path / "assets" / asset.filename) for asset in model.assets}
        if operations:
            self._session.run(operations, assets)


def served(path: Path, tags: Any) -> Any:
    """The meta graph with these tags, in TensorFlow's own class."""
    from tensorflow.python.saved_model.loader_impl import parse_saved_model

    saved = parse_saved_model(str(path))
    return next(each for each in saved.meta_graphs if set(each.meta_info_def.tags) == set(tags))


def _feed(info: Any, cells: np.ndarray) -> Dict[str, Any]:
    """A dense array as the tensors of an input: itself, every cell of a sparse one, a ragged one with equal rows."""
    kind = info.WhichOneof("encoding")
    if kind == "name":
        return {info.name: cells.astype(_type(info.dtype), copy=False)}
    if kind == "coo_sparse":
        sparse = info.coo_sparse
        index = np.argwhere(np.ones(cells.shape, bool))
        return {
            sparse.values_tensor_name: cells.reshape(-1),
            sparse.indices_tensor_name: index.astype(np.int64),
            sparse.dense_shape_tensor_name: np.array(cells.shape, np.int64),
        }
    parts = info.composite_tensor.components
    if len(parts) != 2 or cells.ndim != 2:
        raise ValueError("an input of this composite type cannot be made")
    rows, width = cells.shape
    splits = np.arange(rows + 1) * width
    return {parts[0].name: cells.reshape(-1), parts[1].name: splits.astype(_type(parts[1].dtype))}


def _type(number: int) -> Any:
    return tf.as_dtype(number).as_numpy_dtype


def _plain(found: Any) -> np.ndarray:
    """An array; bfloat16, which numpy's functions do not know, as float32."""
    cells = np.asarray(found)
    return cells.astype(np.float32) if cells.dtype == tf.bfloat16.as_numpy_dtype else cells


def _bare(message: str) -> str:
    """The op's own words and the node, without the stack that TensorFlow wraps around them."""
    node = re.search(r"\{\{node ([^}]+)\}\}", message)
    told = re.sub(r"\s*\[\[.*", "", message.replace("Graph execution error:", ""), flags=re.DOTALL)
    told = re.sub(r"Detected at node.*Node: '[^']*'\s*", "", told, flags=re.DOTALL).strip()
    return f"{told}, at node {node[1]!r}" if node else told


def _refused(error: Exception) -> Refused:
    if isinstance(error, tf.errors.OpError):
        from tensorflow.core.protobuf import error_codes_pb2

        return Refused(error_codes_pb2.Code.Name(error.error_code), _bare(error.message))
    return Refused("INVALID_ARGUMENT" if isinstance(error, ValueError) else "INTERNAL", str(error))
