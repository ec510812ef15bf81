"""--rest_api_enable_cors_support: lets pages of any origin ask the REST API."""

from __future__ import annotations

from typing import Any, List, Tuple

from starlette.responses import Response

_HEADERS: List[Tuple[str, str]] = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "POST, GET"),
    ("Access-Control-Allow-Headers", "Content-Type"),
]


class Cors:
    """An ASGI application in front of another: adds the headers, and answers what a browser asks first."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                added = [(name.lower().encode(), value.encode()) for name, value in _HEADERS]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        if scope["method"] == "OPTIONS":
            await Response(b"")(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)
