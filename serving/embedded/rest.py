"""The REST API as an ASGI application."""

from __future__ import annotations

import logging
import zlib
from typing import Any, Callable, Dict, Optional, Tuple

import anyio
import anyio.to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from serving.embedded import describe, json_reader, json_tensors, json_writer, predict, rest_paths
from serving.embedded.errors import HTTP_STATUS, StatusError, invalid_argument
from serving.embedded.models import Models
from serving.embedded.rest_paths import Target
from serving.embedded.servable import Servable

log = logging.getLogger(__name__)

_NOT_FOUND_PAGE = (
    "<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n"
)
_JSON = "application/json"


class BodyTooLarge(Exception):
    """The body passed the limit; nothing of it was kept."""


class RestApi:
    """Answers on `threads` threads; bodies beyond `body_limit` bytes, before and after decompression, are refused."""

    def __init__(self, models: Models, threads: int, body_limit: int, timeout_ms: int) -> None:
        self._models = models
        self._threads = threads
        self._limiter: Optional[anyio.CapacityLimiter] = None
        self._body_limit = body_limit
        self._timeout_ms = timeout_ms

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        path = _raw_path(scope)
        if not rest_paths.API.fullmatch(path):
            response = Response(_NOT_FOUND_PAGE, 404, media_type="text/html")
        else:
            try:
                body = await self._body(request)
            except ClientDisconnect:
                return
            except BodyTooLarge:
                text = f"The request body is larger than {self._body_limit} bytes"
                response = Response(json_writer.error(text), 413, {"Connection": "close"}, _JSON)
            else:
                code, content = await self._in_thread(self.answer, request.method, path, body)
                response = Response(content, code, media_type=_JSON)
        await response(scope, receive, send)

    def answer(self, method: str, path: str, body: bytes) -> Tuple[int, bytes]:
        """The HTTP status and the body for one request."""
        try:
            target = rest_paths.parse(method, path)
            return 200, _HANDLERS[target.method](self, target, body)
        except StatusError as error:
            return HTTP_STATUS[error.code], json_writer.error(error.message)
        except RecursionError:
            return 400, json_writer.error("JSON Value is nested too deeply")
        except Exception as error:  # noqa: BLE001  (a defect of the server must not look like a broken connection)
            log.exception("answering %s %s", method, path)
            return 500, json_writer.error(f"{type(error).__name__}: {error}")

    def predict(self, target: Target, body: bytes) -> bytes:
        """The body of a predict answer. The request is parsed before the model is looked up, as in the real server."""
        document = json_reader.parse(body)
        signature = document.get("signature_name", "")
        if not isinstance(signature, str):
            raise invalid_argument(f"JSON Value: {json_writer.quoted(document)} not formatted correctly. "
                                   "'signature_name' key must be a string value.")
        with self._models.serving(target.name, target.version, target.label) as version:
            assert version.servable is not None
            form, inputs = json_tensors.read(document, _inputs(version.servable, signature))
            outputs = predict.predict(version.servable, signature, inputs, (), self._timeout_ms)
        if not outputs:
            raise invalid_argument("Cannot convert empty tensor map to JSON")
        return json_writer.rows(outputs) if form == json_tensors.ROWS else json_writer.columns(outputs)

    def examples(self, target: Target, body: bytes) -> bytes:
        """Classify and regress: not answered yet."""
        json_reader.parse(body)
        raise StatusError("UNIMPLEMENTED", f"The embedded server does not answer :{target.method}; use :predict")

    def status(self, target: Target, body: bytes) -> bytes:
        """Every version, or one; a label in the path is ignored, as in the real server."""
        return describe.status_json(describe.status(self._models, target.name, target.version))

    def metadata(self, target: Target, body: bytes) -> bytes:
        """The signatures of a loaded version."""
        with self._models.serving(target.name, target.version, target.label) as version:
            return describe.metadata_json(describe.metadata(target.name, version))

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self._limiter is None:  # made here, because it belongs to the running event loop
            self._limiter = anyio.CapacityLimiter(self._threads)
        return await anyio.to_thread.run_sync(function, *arguments, limiter=self._limiter)

    async def _body(self, request: Request) -> bytes:
        """The whole body, decompressed. Raises BodyTooLarge, and ClientDisconnect when it never came."""
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > self._body_limit:
                raise BodyTooLarge
            parts.append(part)
        body = b"".join(parts)
        if "gzip" in request.headers.get("content-encoding", ""):
            return await self._in_thread(_gunzip, body, self._body_limit)
        return body


def _gunzip(body: bytes, limit: int) -> bytes:
    """The decompressed body; empty when it cannot be decompressed, which is then answered as an empty document."""
    reader = zlib.decompressobj(wbits=31)
    try:
        plain = reader.decompress(body, limit)
    except zlib.error:
        return b""
    if reader.unconsumed_tail:
        raise BodyTooLarge
    return plain if reader.eof else b""


def _inputs(servable: Servable, signature: str) -> json_tensors.Infos:
    name = signature or predict.DEFAULT_SIGNATURE
    if name not in servable.signatures:
        raise invalid_argument(f'Serving signature name: "{name}" not found in signature def')
    infos = dict(servable.signatures[name].inputs)
    if not infos:
        raise invalid_argument(f"Failed to get input map for signature: {signature or 'DEFAULT'}")
    return infos


def _raw_path(scope: Any) -> str:
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope.get("query_string") or b""
    return (path + b"?" + query if query else path).decode("latin-1")


_HANDLERS: Dict[str, Callable[[RestApi, Target, bytes], bytes]] = {
    "predict": RestApi.predict,
    "classify": RestApi.examples,
    "regress": RestApi.examples,
    "status": RestApi.status,
    "metadata": RestApi.metadata,
}
