"""What httpx raises, as the client's own errors."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import Iterator

import httpx

from serving.client.errors import DeadlineExceeded, RequestError, ServerFailed, Unavailable


@contextmanager
def address(text: str) -> Iterator[None]:
    """For what parses an address. Raises RequestError for one that is none."""
    try:
        yield
    except httpx.InvalidURL as error:
        raise RequestError(f"{text} is no address ({error}); give a host such as 127.0.0.1 and a port") from error


@contextmanager
def told(address: str, seconds: float) -> Iterator[None]:
    """For what asks a server within so many seconds. Raises a ClientError for each of httpx' exceptions."""
    try:
        yield
    except (httpx.TimeoutException, asyncio.TimeoutError) as error:
        raise late(address, seconds) from error
    except httpx.ConnectError as error:
        raise Unavailable(f"{address} is not reachable: {error}") from error
    except httpx.TransportError as error:
        raise Unavailable(f"{address} broke the connection: {str(error) or type(error).__name__}") from error
    except httpx.HTTPError as error:
        raise ServerFailed(f"{address} answered with something that cannot be read: {error}") from error


def closed(address: str) -> RequestError:
    """The client was used after its end."""
    return RequestError(f"the connection to {address} was closed; open another client")


def late(address: str, seconds: float) -> DeadlineExceeded:
    """The answer did not come in time."""
    return DeadlineExceeded(f"{address} did not answer within {round(seconds, 2) or seconds:g} s")
