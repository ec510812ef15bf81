"""The page beside the REST API, at its configured path; everywhere else the API answers as if it were not there."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from serving.embedded.metrics.meters import Meters
from serving.embedded.metrics.page import render


class MetricsPage:
    """An ASGI application in front of another."""

    def __init__(self, app: Any, path: str, meters: Meters) -> None:
        self._app = app
        self._path = path
        self._meters = meters

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != self._path:
            await self._app(scope, receive, send)
            return
        query = scope.get("query_string", b"").decode("latin-1")
        if query:
            text = f"Unexpected path: {self._path}?{query}. Should be {self._path}"
            response = Response(text, 400, media_type="text/plain")
        else:
            response = Response(render(self._meters.all()), media_type="text/plain")
        await response(scope, receive, send)
