"""One question to a server, encoded, and how its answer is read: all that sync and async transports share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Exchange(Generic[T]):
    """Encoded once, it may be sent as often as wanted."""

    path: str
    """A gRPC method's full name, or the path of a URL."""
    body: bytes
    read: Callable[[bytes], T]
    """Decodes the answer's bytes. Raises ServerFailed for bytes that make no sense."""
    verb: str = ""
    """HTTP's; gRPC has none."""
