"""One loaded SavedModel: its signatures and a thread-safe way to run them.

The graph runs in a TF1 session fed by tensor names, because that is what TensorFlow Serving does with the same file:
restore, init op, DirectSession. So what loads here loads there, an op's error has the same text, tables and variables
of two models never meet, closing the session frees them, and a call costs a third of what the functions of
`tf.saved_model.load` cost.
"""

from __future__ import annotations

import time
from pathlib import Path
from socket import gethostname
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import config_pb2, error_codes_pb2, meta_graph_pb2, saved_model_pb2
from tensorflow.python.client import pywrap_tf_session

from serving.embedded import missing_ops, tensors, xla
from serving.embedded.batching.batcher import Run
from serving.embedded.errors import StatusError, invalid_argument

_INIT_OPS = ("saved_model_main_op", "legacy_init_op")
_INIT_SIGNATURE = "__saved_model_init_op"

_v1: Any = tf.compat.v1


class Servable:
    """`signatures` as the file declares them, the init op's included; `run` answers them until `close`.

    What the server sets after loading:
    `checks_method_names`: a signature answers only the method that it declares (--enable_signature_method_name_check,
    false by default, for TensorFlow 2 declares `predict` for every signature).
    `compiles_xla`: functions that demand XLA run (--xla_cpu_compilation_enabled).
    `row_limit`: the most rows of one request; 0 for any number.
    `observe`: told of each run that went well: the call (`Predict`, …), its rows and its seconds.
    """

    checks_method_names = False
    compiles_xla = False
    row_limit = 0

    def __init__(
        self, path: Path, config: Optional[config_pb2.ConfigProto] = None, tags: Sequence[str] = ("serve",)
    ) -> None:
        """config: the session's. Raises StatusError when the folder holds no SavedModel that can be loaded."""
        meta_graph = _meta_graph(path, tags)
        self.observe: Callable[[str, int, float], None] = lambda api, rows, seconds: None
        self._run: Run = self.run_now
        self._close_batches: Callable[[], None] = lambda: None
        self.signatures: Dict[str, meta_graph_pb2.SignatureDef] = dict(meta_graph.signature_def)
        self._endpoints: Dict[str, Any] = {}
        self._missing = missing_ops.remove(meta_graph)
        self._compiled = xla.compiled(meta_graph)
        try:
            self._session = _load(path, meta_graph, config or config_pb2.ConfigProto())
        except tf.errors.OpError as error:
            raise from_op_error(error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise StatusError("INVALID_ARGUMENT", f"{path} cannot be loaded: {error}") from error

    def batch(self, run: Run, close: Callable[[], None]) -> None:
        """Lets every run go through `run`, which is to call `run_now` for many at once; `close` ends it."""
        self._run, self._close_batches = run, close

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str], timeout_ms: int = 0,
        api: str = "Predict",
    ) -> Dict[str, np.ndarray]:
        """The named outputs; inputs that the signature has a default for may be absent. Raises StatusError."""
        declared = self.signatures[signature]
        aliases = sorted(declared.inputs)
        values = [
            inputs[alias] if alias in inputs else tensors.to_array(declared.defaults[alias]) for alias in aliases
        ]
        feeds = [declared.inputs[alias].name for alias in aliases]
        fetches = [declared.outputs[alias].name for alias in outputs]
        return dict(zip(outputs, self.fetch(feeds, values, fetches, timeout_ms, api)))

    def fetch(
        self, feeds: Sequence[str], values: Sequence[np.ndarray], fetches: Sequence[str], timeout_ms: int = 0,
        api: str = "Predict",
    ) -> List[np.ndarray]:
        """The tensors named `fetches` when the tensors named `feeds` hold `values`, in a batch or by themselves.

        Raises StatusError.
        """
        self._check_ops((*feeds, *fetches))
        rows = max((len(value) for value in values if value.ndim), default=0)
        if self.row_limit and rows > self.row_limit:
            raise invalid_argument(f"Task size {rows} is larger than --row_limit={self.row_limit}")
        started = time.perf_counter()
        found = self._run(feeds, values, fetches, timeout_ms)
        self.observe(api, rows, time.perf_counter() - started)
        return found

    def run_now(
        self, feeds: Sequence[str], values: Sequence[np.ndarray], fetches: Sequence[str], timeout_ms: int
    ) -> List[np.ndarray]:
        """As `fetch`, by itself."""
        fed = {self._endpoint(name): value for name, value in zip(feeds, values)}
        wanted = [self._endpoint(name) for name in fetches]
        options = config_pb2.RunOptions(timeout_in_ms=timeout_ms).SerializeToString() if timeout_ms else b""
        buffer = pywrap_tf_session.TF_NewBufferFromString(options) if options else None
        try:
            # Not public, but `Session.run` adds its own shape check and 70 µs, and a callable has one timeout.
            found = pywrap_tf_session.TF_SessionRun_wrapper(self._session._session, buffer, fed, wanted, [], None)
        except tf.errors.OpError as error:
            raise from_op_error(error) from error
        finally:
            if buffer is not None:
                pywrap_tf_session.TF_DeleteBuffer(buffer)
        # A lone string comes as bytes, and numpy would make a fixed-width array of it.
        return [np.array(value, object) if isinstance(value, bytes) else np.asarray(value) for value in found]

    def close(self) -> None:
        """Frees the session; the caller has seen to it that no run is under way."""
        self._close_batches()
        self._session.close()

    def _check_ops(self, needed: Iterable[str]) -> None:
        """Raises StatusError for what the real server would fail at when the graph runs."""
        for tensor in needed if self._missing or self._compiled else ():
            node = tensor.partition(":")[0]
            if node in self._missing:
                raise StatusError("NOT_FOUND", f"Op type not registered {self._missing[node]!r} in binary running on "
                                  f"{gethostname()}. Make sure the Op and Kernel are registered in the binary running "
                                  "in this process.")
            if node in self._compiled and not self.compiles_xla:
                raise StatusError("INTERNAL", f"{xla.REFUSAL}\n\t [[{{{{node {self._compiled[node]}}}}}]]")

    def _endpoint(self, name: str) -> Any:
        """TensorFlow's handle of a tensor, looked up once."""
        found = self._endpoints.get(name)
        if found is None:
            try:
                found = self._endpoints[name] = self._session.graph.get_tensor_by_name(name)._as_tf_output()
            except (KeyError, ValueError) as error:
                text = f"Tensor {name}, specified in either feed_devices or fetch_devices was not found in the Graph"
                raise StatusError("INVALID_ARGUMENT", text) from error
        return found


def from_op_error(error: tf.errors.OpError) -> StatusError:
    """A failed op's code and text, unchanged."""
    return StatusError(error_codes_pb2.Code.Name(error.error_code), error.message)


def _meta_graph(path: Path, tags: Sequence[str]) -> meta_graph_pb2.MetaGraphDef:
    try:
        content = (path / "saved_model.pb").read_bytes()
        saved_model = saved_model_pb2.SavedModel.FromString(content)
    except OSError as error:
        text = f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {path}"
        raise StatusError("NOT_FOUND", text) from error
    except DecodeError as error:
        raise StatusError("DATA_LOSS", f"Can't parse {path / 'saved_model.pb'} as binary proto") from error
    for meta_graph in saved_model.meta_graphs:
        if set(meta_graph.meta_info_def.tags) == set(tags):
            return meta_graph
    text = f"Could not find meta graph def matching supplied tags: {{ {' '.join(sorted(tags))} }}."
    raise StatusError("NOT_FOUND", text)


def _load(path: Path, meta_graph: meta_graph_pb2.MetaGraphDef, config: config_pb2.ConfigProto) -> Any:
    """A session over the restored and initialised graph."""
    graph = tf.Graph()
    with graph.as_default():
        saver = _v1.train.import_meta_graph(meta_graph)
        session = _v1.Session(graph=graph, config=config)
        try:
            if saver is not None:
                saver.restore(session, str(path / "variables" / "variables"))
            _initialise(session, path, meta_graph)
            session._extend_graph()  # hands the graph over when neither variables nor tables have done it already
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
