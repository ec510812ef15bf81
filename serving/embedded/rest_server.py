"""REST: uvicorn in a thread of its own, on a socket that is already bound."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import uvicorn

_WAITING_REQUESTS = 1000
"""Requests under way and waiting; beyond it the answer is 503 at once."""


class RestServer:
    """Answers from its construction to `close`."""

    def __init__(self, app: Any, listening: socket.socket, grace_seconds: int) -> None:
        config = uvicorn.Config(
            app, http="h11", ws="none", lifespan="off", log_config=None, access_log=False, server_header=False,
            limit_concurrency=_WAITING_REQUESTS, timeout_keep_alive=75, timeout_graceful_shutdown=grace_seconds,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listening],), name="REST", daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.005)

    def close(self) -> None:
        """Takes no more requests, and returns when those under way are answered, or have had their time."""
        self._server.should_exit = True
        self._thread.join()
