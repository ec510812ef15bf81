"""One loaded SavedModel: its signatures and a thread-safe way to run them.

The graph runs in a TF1 session fed by tensor names, because that is what TensorFlow Serving does with the same file:
restore, init op, DirectSession. So what loads here loads there, an op's error has the same text, tables and variables
of two models never meet, closing the session frees them, and a call costs a third of what the functions of
`tf.saved_model.load` cost.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import config_pb2, error_codes_pb2, meta_graph_pb2, saved_model_pb2

from serving.embedded import missing_ops, tensors
from serving.embedded.errors import StatusError

_INIT_OPS = ("saved_model_main_op", "legacy_init_op")
_INIT_SIGNATURE = "__saved_model_init_op"

_v1: Any = tf.compat.v1


@dataclass(frozen=True)
class Parallelism:
    """Threads of the session; 0 lets TensorFlow choose."""

    intra_op: int = 0
    inter_op: int = 0
    gpu_memory_fraction: float = 0.0


class Servable:
    """`signatures` as the file declares them, the init op's included; `run` answers them until `close`."""

    def __init__(self, path: Path, parallelism: Parallelism = Parallelism()) -> None:  # noqa: B008 (frozen)
        """Raises StatusError when the folder holds no SavedModel that can be loaded."""
        meta_graph = _meta_graph(path)
        self.signatures: Dict[str, meta_graph_pb2.SignatureDef] = dict(meta_graph.signature_def)
        self._lock = threading.Lock()
        self._callables: Dict[Tuple[str, Tuple[str, ...], int], Any] = {}
        self._missing = missing_ops.remove(meta_graph)
        try:
            self._session = _load(path, meta_graph, parallelism)
        except tf.errors.OpError as error:
            raise from_op_error(error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise StatusError("INVALID_ARGUMENT", f"{path} cannot be loaded: {error}") from error

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str], timeout_ms: int = 0
    ) -> Dict[str, np.ndarray]:
        """The named outputs; inputs that the signature has a default for may be absent. Raises StatusError."""
        declared = self.signatures[signature]
        self._check_ops(declared, outputs)
        feeds = [
            inputs[alias] if alias in inputs else tensors.to_array(declared.defaults[alias])
            for alias in sorted(declared.inputs)
        ]
        try:
            values = self._callable(signature, tuple(outputs), timeout_ms)(*feeds)
        except tf.errors.OpError as error:
            raise from_op_error(error) from error
        return dict(zip(outputs, (np.asarray(value) for value in values)))

    def close(self) -> None:
        """Frees the session; the caller has seen to it that no run is under way."""
        with self._lock:
            self._callables.clear()
        self._session.close()

    def _check_ops(self, declared: meta_graph_pb2.SignatureDef, outputs: Sequence[str]) -> None:
        needed = [declared.inputs[alias].name for alias in declared.inputs]
        needed += [declared.outputs[alias].name for alias in outputs]
        for tensor in needed if self._missing else ():
            op = self._missing.get(tensor.partition(":")[0])
            if op is not None:
                raise StatusError("NOT_FOUND", f"Op type not registered {op!r} in binary running on {gethostname()}. "
                                  "Make sure the Op and Kernel are registered in the binary running in this process.")

    def _callable(self, signature: str, outputs: Tuple[str, ...], timeout_ms: int) -> Any:
        key = (signature, outputs, timeout_ms)
        with self._lock:
            if key not in self._callables:
                declared = self.signatures[signature]
                options = config_pb2.CallableOptions(
                    feed=[declared.inputs[alias].name for alias in sorted(declared.inputs)],
                    fetch=[declared.outputs[alias].name for alias in outputs],
                    run_options=config_pb2.RunOptions(timeout_in_ms=timeout_ms),
                )
                # Not public, but the only call of a session that skips Python's own shape check and 150 µs of wrapping.
                self._callables[key] = self._session._make_callable_from_options(options)
            return self._callables[key]


def from_op_error(error: tf.errors.OpError) -> StatusError:
    """A failed op's code and text, unchanged."""
    return StatusError(error_codes_pb2.Code.Name(error.error_code), error.message)


def _meta_graph(path: Path) -> meta_graph_pb2.MetaGraphDef:
    try:
        content = (path / "saved_model.pb").read_bytes()
        saved_model = saved_model_pb2.SavedModel.FromString(content)
    except OSError as error:
        text = f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {path}"
        raise StatusError("NOT_FOUND", text) from error
    except DecodeError as error:
        raise StatusError("DATA_LOSS", f"Can't parse {path / 'saved_model.pb'} as binary proto") from error
    for meta_graph in saved_model.meta_graphs:
        if set(meta_graph.meta_info_def.tags) == {"serve"}:
            return meta_graph
    raise StatusError("NOT_FOUND", "Could not find meta graph def matching supplied tags: { serve }.")


def _load(path: Path, meta_graph: meta_graph_pb2.MetaGraphDef, parallelism: Parallelism) -> Any:
    """A session over the restored and initialised graph."""
    config = config_pb2.ConfigProto(
        intra_op_parallelism_threads=parallelism.intra_op,
        inter_op_parallelism_threads=parallelism.inter_op,
        gpu_options=config_pb2.GPUOptions(per_process_gpu_memory_fraction=parallelism.gpu_memory_fraction),
    )
    graph = tf.Graph()
    with graph.as_default():
        saver = _v1.train.import_meta_graph(meta_graph)
        session = _v1.Session(graph=graph, config=config)
        try:
            if saver is not None:
                saver.restore(session, str(path / "variables" / "variables"))
            _initialise(session, path, meta_graph)
        except BaseException:
            session.close()
            raise
    return session


def _initialise(session: Any, path: Path, meta_graph: meta_graph_pb2.MetaGraphDef) -> None:
    init_op = _init_op(meta_graph)
    if init_op is not None:
        assets = {
            asset.tensor_info.name: str(path / "assets" / asset.filename) for asset in meta_graph.asset_file_def
        }
        session.run(init_op, assets)


def _init_op(meta_graph: meta_graph_pb2.MetaGraphDef) -> Optional[str]:
    """The name of the op that fills the tables: a signature in new files, a collection in old ones."""
    if _INIT_SIGNATURE in meta_graph.signature_def:
        return str(meta_graph.signature_def[_INIT_SIGNATURE].outputs[_INIT_SIGNATURE].name)
    for name in _INIT_OPS:
        if name in meta_graph.collection_def:
            names: List[str] = list(meta_graph.collection_def[name].node_list.value)
            return names[0] if names else None
    return None
