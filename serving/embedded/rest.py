"""The REST API as an ASGI application."""

from __future__ import annotations

import logging
import time
from typing import Any, Callable, Optional, Tuple

import anyio
import anyio.to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from serving.embedded import body, json_writer, rest_answers, rest_paths
from serving.embedded.errors import HTTP_STATUS, StatusError
from serving.embedded.metrics.meters import Meters
from serving.embedded.models import Models

log = logging.getLogger(__name__)

_NOT_FOUND_PAGE = (
    "<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n"
)
_JSON = "application/json"


class RestApi:
    """Answers on `threads` threads; bodies beyond `body_limit` bytes, before and after decompression, are refused."""

    def __init__(self, models: Models, threads: int, body_limit: int, timeout_ms: int, meters: Meters) -> None:
        self._models = models
        self._meters = meters
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
                content = await body.read(request, self._body_limit, self._timeout_ms / 1e3, self._in_thread)
            except ClientDisconnect:
                return
            except body.BodyTooLarge:
                response = _closing(413, f"The request body is larger than {self._body_limit} bytes")
            except body.BodyTooSlow:
                response = _closing(408, f"The request body did not come within {self._timeout_ms} ms")
            else:
                code, answer = await self._in_thread(self.answer, request.method, path, content)
                response = Response(answer, code, media_type=_JSON)
        await response(scope, receive, send)

    def answer(self, method: str, path: str, content: bytes) -> Tuple[int, bytes]:
        """The HTTP status and the body for one request, which is counted."""
        started = time.perf_counter()
        model, api = "", ""
        try:
            target = rest_paths.parse(method, path)
            model, api = target.name, target.method if method == "POST" else ""
            found = rest_answers.answer(self._models, target, content, self._timeout_ms)
            self._meters.request_latency.add((model, api, "REST"), (time.perf_counter() - started) * 1e6)
            self._meters.request_count.add((model, "OK"))
            return 200, found
        except StatusError as error:
            status, text = error.code, error.message
        except RecursionError:
            status, text = "INVALID_ARGUMENT", "JSON Value is nested too deeply"
        except Exception as error:  # noqa: BLE001  (a defect of the server must not look like a broken connection)
            log.exception("answering %s %s", method, path)
            status, text = "INTERNAL", f"{type(error).__name__}: {error}"
        self._meters.request_count.add((model, status))
        return HTTP_STATUS[status], json_writer.error(text)

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self._limiter is None:  # made here, because it belongs to the running event loop
            self._limiter = anyio.CapacityLimiter(self._threads)
        return await anyio.to_thread.run_sync(function, *arguments, limiter=self._limiter)


def _closing(code: int, text: str) -> Response:
    """An answer to a request that was not read to its end: the connection is of no more use."""
    return Response(json_writer.error(text), code, {"Connection": "close"}, _JSON)


def _raw_path(scope: Any) -> str:
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope.get("query_string") or b""
    return (path + b"?" + query if query else path).decode("latin-1")
