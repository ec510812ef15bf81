"""What can go wrong between a client and its server.

ClientError
├── RequestError      nothing was sent: a name, type or shape does not fit the signature
├── Refused           the server says the request is wrong
├── NotFound          no such model, version or table entry on the server
├── DeadlineExceeded  no answer in time                                     retry
├── Unavailable       not reachable, or too busy                            retry
└── ServerFailed      the server broke on a request that may be right
"""

from __future__ import annotations

from typing import Dict, Type


class ClientError(Exception):
    """`retry` says whether the same request may succeed later, without harm: predicting changes nothing on a server.

    The client itself repeats what is Unavailable, and what came too late only where its Retry says so: a server that is
    too slow gets slower when asked again.
    """

    retry = False


class RequestError(ClientError):
    """Nothing was sent; the message names the input, what it should be and what it is."""


class Refused(ClientError):
    """The server's own words for what is wrong with the request."""


class NotFound(ClientError):
    """The model or version is not served, or an op did not find what it was asked for."""


class DeadlineExceeded(ClientError):
    """The answer did not come in time; it may still be computed in vain."""

    retry = True


class Unavailable(ClientError):
    """No server at the address, or one that takes no more requests now."""

    retry = True


class ServerFailed(ClientError):
    """Internal error, data loss, or an answer that cannot be read."""


_BY_CODE: Dict[str, Type[ClientError]] = {
    "NOT_FOUND": NotFound,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "UNAVAILABLE": Unavailable,
    "RESOURCE_EXHAUSTED": Unavailable,
    "CANCELLED": Unavailable,
    "UNKNOWN": ServerFailed,
    "INTERNAL": ServerFailed,
    "DATA_LOSS": ServerFailed,
}
_BY_HTTP_STATUS: Dict[int, Type[ClientError]] = {
    404: NotFound,
    408: DeadlineExceeded,
    429: Unavailable,
    499: Unavailable,
    500: ServerFailed,
    501: Refused,
    502: Unavailable,
    503: Unavailable,
    504: DeadlineExceeded,
}


def from_code(code: str, message: str) -> ClientError:
    """The exception for a canonical status code such as NOT_FOUND."""
    return _BY_CODE.get(code, Refused)(message)


def from_http_status(status: int, message: str) -> ClientError:
    """The exception for an HTTP status that is no success."""
    return _BY_HTTP_STATUS.get(status, Refused if status < 500 else ServerFailed)(message)
