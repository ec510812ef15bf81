"""The REST API as bytes, in columns. A lone output comes without its name: the contract puts it back."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager
from functools import partial
from typing import Any, Dict, Iterator, List, Mapping, Sequence
from urllib.parse import quote

import numpy as np
from google.protobuf import json_format

from serving.client.cells import numpy_type
from serving.client.contract import Tensor
from serving.client.errors import ClientError, RequestError, ServerFailed, from_http_status
from serving.client.exchange import Exchange
from serving.client.transport import Answer, Target, VersionStatus
from signatures.protos import message

_NOT_IN_COLUMNS = ("float16", "bfloat16", "uint16", "complex64", "complex128")
"""Types whose columns the REST API answers with 501."""


def predict(
    target: Target, arrays: Mapping[str, np.ndarray], outputs: Mapping[str, Tensor], wanted: Sequence[str]
) -> Exchange[Answer]:
    """Runs a signature; REST tells no version and cannot filter, so the filter is applied to the answer.

    Raises RequestError for types that REST does not take.
    """
    inputs = {name: _cells(name, array) for name, array in arrays.items()}
    body = json.dumps({"signature_name": target.signature, "inputs": inputs}).encode("ascii")
    return Exchange(_path(target) + ":predict", body, partial(_answer, dict(outputs), tuple(wanted)), "POST")


def signatures(target: Target) -> Exchange[Any]:
    """The SignatureDefMap of a version."""
    return Exchange(_path(target) + "/metadata", b"", _signature_map, "GET")


def status(target: Target) -> Exchange[List[VersionStatus]]:
    """Every version of a model, or the one of the target."""
    return Exchange(_path(target), b"", _statuses, "GET")


def failure(address: str, code: int, content: bytes) -> ClientError:
    """The exception for an HTTP status that is no success."""
    try:
        answer = _parsed(content)
    except ServerFailed:
        answer = {}
    told = answer.get("error") if isinstance(answer, dict) else None
    return from_http_status(code, str(told) if told else f"{address}: HTTP {code}")


def _answer(outputs: Mapping[str, Tensor], wanted: Sequence[str], content: bytes) -> Answer:
    found = _parsed(content)
    with _readable():
        columns = found["outputs"]
        named: Dict[str, Any] = {next(iter(outputs)): columns} if len(outputs) == 1 else columns
        return Answer({name: _array(name, named[name], outputs[name]) for name in wanted or named}, None)


def _signature_map(content: bytes) -> Any:
    answer, parsed = _parsed(content), message("tensorflow.serving.SignatureDefMap")()
    with _readable():
        return json_format.ParseDict(answer["metadata"]["signature_def"], parsed, ignore_unknown_fields=True)


def _statuses(content: bytes) -> List[VersionStatus]:
    answer = _parsed(content)
    with _readable():
        return [
            VersionStatus(int(told["version"]), told["state"], told.get("status", {}).get("error_message", ""))
            for told in answer["model_version_status"]
        ]


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise ServerFailed(f"the server answered with something other than JSON: {error}") from error


@contextmanager
def _readable() -> Iterator[None]:
    """An answer of another shape than the API's is the server's failure."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, json_format.ParseError) as error:
        raise ServerFailed(f"the server gave an answer that does not fit the model: {error!r}") from error


def _path(target: Target) -> str:
    path = f"/v1/models/{quote(target.model, safe='')}"
    if target.version is not None:
        return f"{path}/versions/{target.version}"
    return f"{path}/labels/{quote(target.label, safe='')}" if target.label is not None else path


def _cells(name: str, array: np.ndarray) -> Any:
    """Nested lists; bytes that are no UTF-8 travel as base64."""
    if array.dtype.name in _NOT_IN_COLUMNS:
        raise RequestError(f"input {name!r} is {array.dtype.name}, which the REST API does not take; ask over gRPC")
    return _texts(array.tolist()) if array.dtype == object else array.tolist()


def _texts(value: Any) -> Any:
    if isinstance(value, list):
        return [_texts(element) for element in value]
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode("ascii")}


def _array(name: str, value: Any, tensor: Tensor) -> np.ndarray:
    if tensor.dtype != "string":
        return _ranked(np.array(value, numpy_type(f"output {name!r}", tensor.dtype)), tensor)
    cells: List[Any] = [value]
    shape: List[int] = []
    while cells and isinstance(cells[0], list):
        shape.append(len(cells[0]))
        cells = [element for cell in cells for element in cell]
    array = np.empty(len(cells), object)
    for number, cell in enumerate(cells):
        array[number] = base64.b64decode(cell["b64"]) if isinstance(cell, dict) else cell.encode(
            "utf-8", "surrogateescape"
        )
    return _ranked(array.reshape(shape), tensor)


def _ranked(array: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Nested lists say nothing of the axes behind an empty one: the contract does."""
    if array.size or tensor.shape is None or array.ndim >= len(tensor.shape):
        return array
    return array.reshape(*array.shape, *(size or 0 for size in tensor.shape[array.ndim:]))
