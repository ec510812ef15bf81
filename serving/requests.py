"""What a user asks on the command line, from a JSON file or from `name=json` flags, as the client's inputs."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Sequence

from serving.client.encode import Inputs
from signatures.errors import UsageError


@dataclass(frozen=True)
class Request:
    """Columns or rows, and the signature where the request names one."""

    inputs: Inputs
    signature: Optional[str] = None


def from_json(text: str, where: str) -> Request:
    """A request in REST's row or column form, a golden request, a bare row, or a list of rows. Raises UsageError."""
    try:
        document = _decoded(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is no JSON ({error}); write for example {{\"instances\": [{{…}}]}}") from error
    if isinstance(document, list):
        return Request(_rows(document, where))
    if not isinstance(document, dict):
        raise UsageError(f"{where} should hold an object or a list of rows; received {type(document).__name__}")
    signature = document.get("signature_name", document.get("signature"))
    signature = signature if isinstance(signature, str) else None
    if "instances" in document:
        return Request(_rows(document["instances"], where), signature)
    if isinstance(document.get("inputs"), dict):
        return Request(document["inputs"], signature)
    return Request([document])


def from_flags(flags: Sequence[str]) -> Request:
    """One row from `name=json` texts. Raises UsageError for one that is not of this form."""
    row: Dict[str, Any] = {}
    for flag in flags:
        name, equals, text = flag.partition("=")
        if not name or not equals:
            raise UsageError(f"--input {flag!r} should have the form name=json, such as user_id=7")
        if name in row:
            raise UsageError(f"--input {name!r} is given twice; give it once, as a list where it has several cells")
        try:
            row[name] = _decoded(json.loads(text))
        except ValueError as error:
            told = f"--input {name!r} is {text!r}, which is no JSON; quote strings: {name}='\"text\"'"
            raise UsageError(told) from error
    return Request([row])


def _rows(rows: Any, where: str) -> Sequence[Mapping[str, Any]]:
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{where} should hold a list of rows, each an object with one member per input")
    return rows


def _decoded(value: Any) -> Any:
    """Every `{"b64": …}` becomes bytes."""
    if isinstance(value, list):
        return [_decoded(element) for element in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"b64"} and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except binascii.Error as error:
            raise ValueError(f"b64 value {value['b64']!r}: {error}") from error
    return {name: _decoded(member) for name, member in value.items()}
