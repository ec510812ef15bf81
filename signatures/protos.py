"""TensorFlow's and TensorFlow Serving's protocol messages, without importing TensorFlow.

The installed wheels hold one generated `*_pb2.py` per proto file, and in it the serialized file descriptor as a bytes
literal. The literals are read as text, never executed, into a descriptor pool of our own: parsing a SavedModel then
takes a tenth of a second instead of TensorFlow's several. The pool is private, so it cannot clash with the
messages that TensorFlow registers when the same process imports it too, before or after. A message of this pool and
TensorFlow's of the same name are different classes: hand over bytes, not objects.
"""

from __future__ import annotations

import ast
import threading
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, List, Type

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

from signatures.errors import UsageError

_SERVING = "tensorflow_serving/apis/"

# Name prefix -> proto files that, with what they import, define the messages under it; the first prefix that fits.
ROOTS = (
    (
        "tensorflow.serving.",
        (
            _SERVING + "get_model_metadata.proto",
            _SERVING + "get_model_status.proto",
            _SERVING + "model_management.proto",
            _SERVING + "prediction_log.proto",
        ),
    ),
    ("tensorflow.", ("tensorflow/core/protobuf/saved_model.proto", "tensorflow/core/example/example.proto")),
)

# Proto files that TensorFlow vendors: import path -> folder in the wheel.
_VENDORED = {"tsl": "tensorflow/tsl", "xla": "tensorflow/compiler/xla"}

_pool = descriptor_pool.DescriptorPool()
_lock = threading.Lock()


def message(name: str) -> Type[Any]:
    """The message class of a full name such as `tensorflow.SavedModel` or `tensorflow.serving.PredictRequest`.

    The same class at every call. Raises KeyError for a message that the files in ROOTS do not define, and UsageError
    when the wheel that ships them is missing.
    """
    with _lock:
        for root in _roots(name):
            _load(root)
        try:
            descriptor = _pool.FindMessageTypeByName(name)
        except KeyError:
            raise KeyError(f"{name} is in no proto file of signatures.protos.ROOTS") from None
        found: Type[Message] = message_factory.GetMessageClass(descriptor)
        return found


def _roots(name: str) -> tuple[str, ...]:
    return next((roots for prefix, roots in ROOTS if name.startswith(prefix)), ())


def _load(root: str) -> None:
    """Adds a proto file to the pool, after all that it imports."""
    pending: List[str] = [root]
    while pending:
        file = pending[-1]
        if _known(file):
            pending.pop()
            continue
        serialized = _serialized(file)
        missing = [other for other in _imports(serialized) if not _known(other)]
        if missing:
            pending.extend(missing)
            continue
        _pool.AddSerializedFile(serialized)
        pending.pop()


def _known(file: str) -> bool:
    try:
        _pool.FindFileByName(file)
    except KeyError:
        return False
    return True


def _imports(serialized: bytes) -> List[str]:
    # Imported here: descriptor_pb2 is part of protobuf, and nothing else of this module needs it.
    from google.protobuf import descriptor_pb2

    return list(descriptor_pb2.FileDescriptorProto.FromString(serialized).dependency)


def _serialized(file: str) -> bytes:
    """The serialized FileDescriptorProto of `tensorflow/core/….proto`."""
    module = file[: -len(".proto")] + "_pb2"
    if file.startswith("google/protobuf/"):
        descriptor: Any = import_module(module.replace("/", ".")).DESCRIPTOR
        return bytes(descriptor.serialized_pb)
    first, _, rest = module.partition("/")
    package, _, rest = f"{_VENDORED.get(first, first)}/{rest}".partition("/")
    # A top-level name: this finds the folder and runs nothing of the package.
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        wheel = {"tensorflow_serving": "tensorflow-serving-api"}.get(package, package)
        raise UsageError(f"the package {wheel} is not installed, and its {file} is needed; run: pip install {wheel}")
    source = Path(spec.submodule_search_locations[0], rest + ".py")
    return _literal(source)


def _literal(source: Path) -> bytes:
    """The bytes given to AddSerializedFile in a generated module."""
    try:
        tree = ast.parse(source.read_bytes())
    except OSError as error:
        raise UsageError(f"{source} cannot be read ({error.strerror}); install the wheel again") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "AddSerializedFile":
            value = ast.literal_eval(node.args[0])
            if isinstance(value, bytes):
                return value
    raise UsageError(f"{source} holds no serialized proto file; install the versions of the lock file")
