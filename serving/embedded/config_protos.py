"""The protos of the server's config files that tensorflow-serving-api leaves out: batching, monitoring, TLS.

Names, types and packages are the server's own, so its text files are read here by the rules that it reads them by: an
unknown field, a missing brace, `max_batch_size: 8` for `max_batch_size { value: 8 }` is refused by both.
No TensorFlow is imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence, Tuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2

_FIELD = descriptor_pb2.FieldDescriptorProto
_WRAPPERS = "google/protobuf/wrappers.proto"

Fields = Sequence[Tuple[str, int, Any, str]]
"""Name, number, type, and for a message its full name; `*` behind the name says repeated."""

_BATCHING: Fields = (
    ("max_batch_size", 1, _FIELD.TYPE_MESSAGE, "google.protobuf.Int64Value"),
    ("batch_timeout_micros", 2, _FIELD.TYPE_MESSAGE, "google.protobuf.Int64Value"),
    ("max_enqueued_batches", 3, _FIELD.TYPE_MESSAGE, "google.protobuf.Int64Value"),
    ("num_batch_threads", 4, _FIELD.TYPE_MESSAGE, "google.protobuf.Int64Value"),
    ("thread_pool_name", 5, _FIELD.TYPE_MESSAGE, "google.protobuf.StringValue"),
    ("allowed_batch_sizes*", 6, _FIELD.TYPE_INT64, ""),
    ("pad_variable_length_inputs", 7, _FIELD.TYPE_BOOL, ""),
    # Read from text alone, where numbers play no part.
    ("enable_large_batch_splitting", 8, _FIELD.TYPE_MESSAGE, "google.protobuf.BoolValue"),
    ("max_execution_batch_size", 9, _FIELD.TYPE_MESSAGE, "google.protobuf.Int64Value"),
)
_PROMETHEUS: Fields = (("enable", 1, _FIELD.TYPE_BOOL, ""), ("path", 2, _FIELD.TYPE_STRING, ""))
_MONITORING: Fields = (("prometheus_config", 1, _FIELD.TYPE_MESSAGE, "tensorflow.serving.PrometheusConfig"),)
_SSL: Fields = (
    ("server_key", 1, _FIELD.TYPE_STRING, ""),
    ("server_cert", 2, _FIELD.TYPE_STRING, ""),
    ("custom_ca", 3, _FIELD.TYPE_STRING, ""),
    ("client_verify", 4, _FIELD.TYPE_BOOL, ""),
)


def read(path: Path, message: Any) -> Any:
    """The message that a text file holds. Raises OSError, UnicodeDecodeError and text_format.ParseError."""
    return text_format.Parse(path.read_text(encoding="utf-8"), message)


def _pool() -> descriptor_pool.DescriptorPool:
    """A pool of our own: the default one is the process's, where another package may bring the same names one day."""
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    files = (
        ("servables/tensorflow/session_bundle_config.proto", {"BatchingParameters": _BATCHING}),
        ("config/monitoring_config.proto", {"PrometheusConfig": _PROMETHEUS, "MonitoringConfig": _MONITORING}),
        ("config/ssl_config.proto", {"SSLConfig": _SSL}),
    )
    for name, messages in files:
        file = descriptor_pb2.FileDescriptorProto(
            name=f"tensorflow_serving/{name}", package="tensorflow.serving", syntax="proto3", dependency=[_WRAPPERS]
        )
        for message, fields in messages.items():
            made = file.message_type.add(name=message)
            for field, number, kind, type_name in fields:
                repeated = field.endswith("*")
                label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
                full_name = f".{type_name}" if type_name else None
                made.field.add(name=field.rstrip("*"), number=number, type=kind, type_name=full_name, label=label)
        pool.AddSerializedFile(file.SerializeToString())
    return pool


def _class(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"tensorflow.serving.{name}"))


_POOL = _pool()
BatchingParameters = _class("BatchingParameters")
MonitoringConfig = _class("MonitoringConfig")
SSLConfig = _class("SSLConfig")
