"""JSON as the real server's RapidJSON 1.1 reads it: same errors and offsets, NaN and Inf, the first of duplicate keys.

Python's own parser reads nearly every body; what it refuses, or might read otherwise, goes to `json_reader_exact`.
Strings keep bytes that are no UTF-8 as surrogate escapes: `text.encode("utf-8", "surrogateescape")` gives them back.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Tuple

from serving.embedded import json_reader_exact, json_text
from serving.embedded.errors import invalid_argument

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Numbers near the largest double, and surrogate escapes: here the two parsers differ.
_DELICATE = re.compile(rb"[eE]\+?0*[1-9]\d\d|\d{300}|\\u[dD][89a-fA-F]")


def parse(body: bytes) -> Dict[str, Any]:
    """The object in a request body. Raises StatusError INVALID_ARGUMENT with RapidJSON's text and offset."""
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    try:
        document = _parse(body)
    except json_reader_exact.JsonError as error:
        raise invalid_argument(f"JSON Parse error: {error.text} at offset: {error.offset}") from error
    except RecursionError as error:
        raise invalid_argument("JSON Parse error: The document is nested too deeply") from error
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {json_text.quoted(document)} Is not object")
    return document


def _parse(body: bytes) -> Any:
    start = len(_BYTE_ORDER_MARK) if body.startswith(_BYTE_ORDER_MARK) else 0
    if not _DELICATE.search(body):
        try:
            return _DECODER.decode(body[start:].decode("utf-8", "surrogateescape"))
        except json.JSONDecodeError:
            pass
    return json_reader_exact.parse(body, start)


def _first_wins(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        for name, value in reversed(pairs):
            members[name] = value
    return members


_DECODER = json.JSONDecoder(object_pairs_hook=_first_wins)
