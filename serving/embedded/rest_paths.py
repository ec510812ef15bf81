"""The paths of the REST API, as the real server's regular expressions read them.

Case is ignored, names and labels are percent-decoded, a query string fits nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional
from urllib.parse import unquote

from serving.embedded.errors import invalid_argument

API = re.compile(r"(?i)/v1/.*", re.DOTALL)
_VERSION = r"(?:(?:/versions/(?P<version>\d+))|(?:/labels/(?P<label>[^/:]+)))?"
_PREDICTION = re.compile(rf"(?i)/v1/models/(?P<name>[^/:]+){_VERSION}:(?P<method>classify|regress|predict)", re.ASCII)
_STATUS = re.compile(rf"(?i)/v1/models(?:/(?P<name>[^/:]+))?{_VERSION}(?:/(?P<method>metadata))?", re.ASCII)
_LARGEST_VERSION = 2**63 - 1


@dataclass(frozen=True)
class Target:
    """What a request asks for; `method` is predict, classify, regress, metadata or status."""

    method: str
    name: str
    version: Optional[int]
    label: Optional[str]


def parse(http_method: str, path: str) -> Target:
    """`path` with its query, undecoded. Raises StatusError INVALID_ARGUMENT for what is no request of the API."""
    pattern = {"POST": _PREDICTION, "GET": _STATUS}.get(http_method)
    found = pattern.fullmatch(path) if pattern is not None else None
    if found is None:
        raise invalid_argument(f"Malformed request: {http_method} {path}")
    # The real server compares the method letter by letter, and finds none for `:PREDICT`.
    method = found["method"] or "status"
    if http_method == "POST" and method not in ("predict", "classify", "regress"):
        raise invalid_argument(f"Malformed request: {http_method} {path}")
    version = int(found["version"]) if found["version"] else None
    if version is not None and version > _LARGEST_VERSION:
        raise invalid_argument(f"Failed to convert version: {found['version']} to numeric.")
    if not found["name"]:
        raise invalid_argument("Missing model name in request.")
    return Target(method, unquote(found["name"]), version, unquote(found["label"]) if found["label"] else None)
