"""The tf.Examples of a REST classify or regress request, with the real server's errors.

A feature's type follows from its JSON values, not from the graph: 2 is an int64 feature, 2.0 a float one.
"""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np
from tensorflow.core.example import example_pb2, feature_pb2
from tensorflow_serving.apis import input_pb2

from serving.embedded import json_text, json_values
from serving.embedded.errors import StatusError, invalid_argument

_FLOAT_MAX = float(np.finfo(np.float32).max)
_KINDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def read(document: Mapping[str, Any]) -> input_pb2.Input:
    """The examples of a document, and the context that they share when there is one. Raises StatusError."""
    request = input_pb2.Input()
    kind = request.example_list
    if "context" in document:
        kind = request.example_list_with_context
        _fill(kind.context, document["context"])
    if "examples" not in document:
        # The real server says so for regress too.
        raise _format_error(document, "When method is classify, key 'examples' is expected and was not found")
    examples = document["examples"]
    if not isinstance(examples, list):
        raise _format_error(document, "Expecting 'examples' value to be an list/array")
    if not examples:
        raise _format_error(document, "'examples' value is an empty array")
    for value in examples:
        _fill(kind.examples.add(), value)
    return request


def _fill(example: example_pb2.Example, value: Any) -> None:
    if not isinstance(value, dict):
        raise invalid_argument(f"Example must be JSON object but got JSON {json_values.type_name(value)}")
    for name, content in value.items():
        feature = example.features.feature[json_values.raw(name).decode("utf-8", "replace")]
        for cell in content if isinstance(content, list) else [content]:
            _add(feature, name, cell)


def _add(feature: feature_pb2.Feature, name: str, value: Any) -> None:
    """Appends one value; the first decides the feature's type."""
    if isinstance(value, str):
        _list(feature, name, "bytes_list").append(json_values.raw(value))
    elif isinstance(value, bool):
        _list(feature, name, "int64_list").append(int(value))
    elif isinstance(value, int) and -(2**63) <= value < 2**64:
        numbers = _list(feature, name, "int64_list")
        if value >= 2**63:
            raise invalid_argument(f"Feature: {name} has uint64 element. Only int64 is supported.")
        numbers.append(value)
    elif isinstance(value, (int, float)):
        numbers = _list(feature, name, "float_list")
        if np.isfinite(float(value)) and abs(value) > _FLOAT_MAX:
            raise invalid_argument(f"Cannot convert JSON value: {json_text.quoted(value)} to float "
                                   "without loss of precision.")
        numbers.append(float(value))
    elif json_values.is_base64(value):
        _list(feature, name, "bytes_list").append(json_values.from_base64(value))
    else:
        raise invalid_argument(f"Feature: {name} has element with unexpected JSON type: {json_values.type_name(value)}")


def _list(feature: feature_pb2.Feature, name: str, kind: str) -> Any:
    given = feature.WhichOneof("kind")
    if given not in (None, kind):
        raise invalid_argument(f"Unexpected element type in feature: {name} expecting type: {_KINDS[given]}")
    return getattr(feature, kind).value


def _format_error(document: Mapping[str, Any], text: str) -> StatusError:
    return invalid_argument(f"JSON Value: {json_text.quoted(document)} {text}")
