"""The REST API, in columns. A lone output comes without its name: the contract puts it back."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence
from urllib.parse import quote

import httpx
import numpy as np
from google.protobuf import json_format

from serving.client.cells import numpy_type
from serving.client.contract import Tensor
from serving.client.errors import DeadlineExceeded, ServerFailed, Unavailable, from_http_status
from serving.client.transport import Answer, Target, VersionStatus
from signatures.protos import message


class RestTransport:
    """One pool of connections to one server; `transport` replaces the network in tests."""

    def __init__(
        self, host: str = "127.0.0.1", port: int = 8501, transport: Optional[httpx.BaseTransport] = None
    ) -> None:
        self.address = f"http://{host}:{port}"
        # No proxy from the environment: a model server is an address of one's own network.
        self._http = httpx.Client(base_url=self.address, transport=transport, trust_env=False)

    def predict(
        self, target: Target, arrays: Mapping[str, np.ndarray], outputs: Mapping[str, Tensor], wanted: Sequence[str],
        seconds: float,
    ) -> Answer:
        """Runs a signature; REST tells no version and cannot filter, so the filter is applied here."""
        inputs = {name: _cells(array) for name, array in arrays.items()}
        body = json.dumps({"signature_name": target.signature, "inputs": inputs})
        answer = self._json("POST", _path(target) + ":predict", seconds, body)
        with self._readable():
            found = answer["outputs"]
            named: Dict[str, Any] = {next(iter(outputs)): found} if len(outputs) == 1 else found
            return Answer({name: _array(name, named[name], outputs[name]) for name in wanted or named}, None)

    def signatures(self, target: Target, seconds: float) -> Any:
        """The SignatureDefMap of a version."""
        answer = self._json("GET", _path(target) + "/metadata", seconds)
        parsed = message("tensorflow.serving.SignatureDefMap")()
        with self._readable():
            return json_format.ParseDict(answer["metadata"]["signature_def"], parsed, ignore_unknown_fields=True)

    def status(self, target: Target, seconds: float) -> List[VersionStatus]:
        """Every version of a model, or the one of the target."""
        answer = self._json("GET", _path(target), seconds)
        with self._readable():
            return [
                VersionStatus(int(told["version"]), told["state"], told.get("status", {}).get("error_message", ""))
                for told in answer["model_version_status"]
            ]

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """An answer of another shape than the API's is the server's failure."""
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError, json_format.ParseError) as error:
            raise ServerFailed(f"{self.address} gave an answer that does not fit the model: {error!r}") from error

    def _json(self, method: str, path: str, seconds: float, body: Optional[str] = None) -> Any:
        try:
            response = self._http.request(method, path, content=body, timeout=seconds)
        except httpx.TimeoutException as error:
            raise DeadlineExceeded(f"{self.address} did not answer within {seconds:g} s") from error
        except httpx.TransportError as error:
            raise Unavailable(f"{self.address} is not reachable: {error}") from error
        try:
            answer = json.loads(response.content.decode("utf-8", "surrogateescape"))
        except ValueError as error:
            if response.is_success:
                raise ServerFailed(f"{self.address} answered with something other than JSON: {error}") from error
            answer = {}
        if not response.is_success:
            told = answer.get("error") if isinstance(answer, dict) else None
            raise from_http_status(response.status_code, told or f"{self.address}{path}: HTTP {response.status_code}")
        return answer


def _path(target: Target) -> str:
    path = f"/v1/models/{quote(target.model, safe='')}"
    if target.version is not None:
        return f"{path}/versions/{target.version}"
    return f"{path}/labels/{quote(target.label, safe='')}" if target.label is not None else path


def _cells(array: np.ndarray) -> Any:
    """Nested lists; bytes that are no UTF-8 travel as base64."""
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
        return np.array(value, numpy_type(f"output {name!r}", tensor.dtype))
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
    return array.reshape(shape)
