"""The one exception a request can end with: a canonical status code and a text, as TensorFlow Serving answers it."""

from __future__ import annotations

from typing import Dict

HTTP_STATUS: Dict[str, int] = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}
"""The real server's table from canonical codes to HTTP."""


class StatusError(Exception):
    """`code` is a canonical name such as NOT_FOUND; `message` is the text the client reads."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def invalid_argument(message: str) -> StatusError:
    """The code of nearly every mistake in a request."""
    return StatusError("INVALID_ARGUMENT", message)
