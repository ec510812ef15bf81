"""RapidJSON 1.1's parser, state for state, for the bodies whose error or reading must be exactly its own.

Pure Python, hence slow: `json_reader` sends only what Python's parser refuses or might read otherwise.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Pattern

_WHITESPACE = re.compile(rb"[ \n\r\t]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_DIGITS = re.compile(rb"[0-9]*")
_ESCAPES = {b'"': '"', b"\\": "\\", b"/": "/", b"b": "\b", b"f": "\f", b"n": "\n", b"r": "\r", b"t": "\t"}
_LARGEST_EXPONENT = 308

INVALID_VALUE = "Invalid value."
_TOO_BIG = "Number too big to be stored in double."


class JsonError(Exception):
    """RapidJSON's text and the byte offset it tells."""

    def __init__(self, text: str, offset: int) -> None:
        super().__init__(text)
        self.text = text
        self.offset = offset


def parse(body: bytes, start: int = 0) -> Any:
    """The value in `body`, read from `start`. Raises JsonError; RecursionError for hundreds of nested lists."""
    reader = _Reader(body, start)
    reader.skip_whitespace()
    if not reader.peek():
        raise JsonError("The document is empty.", reader.position)
    value = reader.value()
    reader.skip_whitespace()
    if reader.peek():
        raise JsonError("The document root must not be followed by other values.", reader.position)
    return value


class _Reader:
    def __init__(self, body: bytes, position: int) -> None:
        self.body = body
        self.position = position

    def peek(self) -> bytes:
        """The next byte; empty at the end, and at a zero byte, which ends RapidJSON's stream too."""
        byte = self.body[self.position:self.position + 1]
        return b"" if byte == b"\x00" else byte

    def consume(self, text: bytes) -> bool:
        """Takes the bytes of `text` one by one, up to the first that differs; true when all were there."""
        for expected in text:
            if self.position >= len(self.body) or self.body[self.position] != expected:
                return False
            self.position += 1
        return True

    def skip_whitespace(self) -> None:
        self.position = self._end_of(_WHITESPACE)

    def value(self) -> Any:
        byte = self.peek()
        if byte == b'"':
            return self.string()
        if byte == b"{":
            return self.members()
        if byte == b"[":
            return self.elements()
        for word, meaning in ((b"null", None), (b"true", True), (b"false", False)):
            if byte == word[:1]:
                if not self.consume(word):
                    raise JsonError(INVALID_VALUE, self.position)
                return meaning
        return self.number()

    def members(self) -> Dict[str, Any]:
        found: Dict[str, Any] = {}
        self.position += 1
        self.skip_whitespace()
        if self.consume(b"}"):
            return found
        while True:
            if self.peek() != b'"':
                raise JsonError("Missing a name for object member.", self.position)
            name = self.string()
            self.skip_whitespace()
            if not self.consume(b":"):
                raise JsonError("Missing a colon after a name of object member.", self.position)
            self.skip_whitespace()
            found.setdefault(name, self.value())
            self.skip_whitespace()
            if self.consume(b"}"):
                return found
            if not self.consume(b","):
                raise JsonError("Missing a comma or } after an object member.", self.position)
            self.skip_whitespace()

    def elements(self) -> List[Any]:
        found: List[Any] = []
        self.position += 1
        self.skip_whitespace()
        if self.consume(b"]"):
            return found
        while True:
            found.append(self.value())
            self.skip_whitespace()
            if self.consume(b"]"):
                return found
            if not self.consume(b","):
                raise JsonError("Missing a comma or ] after an array element.", self.position)
            self.skip_whitespace()

    def string(self) -> str:
        parts: List[str] = []
        self.position += 1
        while True:
            end = self._end_of(_PLAIN)
            parts.append(self.body[self.position:end].decode("utf-8", "surrogateescape"))
            self.position = end
            byte = self.peek()
            if byte == b'"':
                self.position += 1
                return "".join(parts)
            if not byte:
                raise JsonError("Missing a closing quotation mark in string.", self.position)
            if byte != b"\\":
                raise JsonError("Invalid escape character in string.", self.position)
            parts.append(self._escape())

    def number(self) -> Any:
        start = self.position
        negative = self.consume(b"-")
        if self.peek() in (b"I", b"N"):
            return self._not_finite(negative)
        whole = self._digits()
        if not whole:
            raise JsonError(INVALID_VALUE, self.position)
        fraction = exponent = b""
        if self.consume(b"."):
            fraction = self._digits(leading_zeros=True)
            if not fraction:
                raise JsonError("Miss fraction part in number.", self.position)
        if self.peek() in (b"e", b"E"):
            exponent = self._exponent(start, len(fraction))
        number = float(self.body[start:self.position])
        if number in (float("inf"), float("-inf")):
            raise JsonError(_TOO_BIG, start)
        is_integer = not fraction and not exponent and len(whole) < 21
        return int(self.body[start:self.position]) if is_integer else number

    def _digits(self, leading_zeros: bool = False) -> bytes:
        start = self.position
        if not leading_zeros and self.consume(b"0"):
            return b"0"
        self.position = self._end_of(_DIGITS)
        return self.body[start:self.position]

    def _exponent(self, start: int, fraction_length: int) -> bytes:
        self.position += 1
        sign = self.peek()
        if sign in (b"+", b"-"):
            self.position += 1
        digits = self._digits(leading_zeros=True)
        if not digits:
            raise JsonError("Miss exponent in number.", self.position)
        if sign != b"-" and int(digits[:9]) > _LARGEST_EXPONENT + fraction_length:
            raise JsonError(_TOO_BIG, start)
        return digits

    def _not_finite(self, negative: bool) -> float:
        if self.peek() == b"N":
            if self.consume(b"NaN"):
                return float("nan")
        elif self.consume(b"Inf") and (self.peek() != b"i" or self.consume(b"inity")):
            return float("-inf") if negative else float("inf")
        raise JsonError(INVALID_VALUE, self.position)

    def _escape(self) -> str:
        start = self.position
        self.position += 1
        byte = self.peek()
        if byte in _ESCAPES:
            self.position += 1
            return _ESCAPES[byte]
        if byte != b"u":
            raise JsonError("Invalid escape character in string.", start)
        self.position += 1
        code = self._hex(start)
        if 0xD800 <= code <= 0xDBFF:
            if not self.consume(b"\\u"):
                raise JsonError("The surrogate pair in string is invalid.", start)
            low = self._hex(start)
            if not 0xDC00 <= low <= 0xDFFF:
                raise JsonError("The surrogate pair in string is invalid.", start)
            code = ((code - 0xD800) << 10 | (low - 0xDC00)) + 0x10000
        # A lone low surrogate passes in RapidJSON, as three bytes that are no UTF-8.
        return chr(code).encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")

    def _hex(self, start: int) -> int:
        digits = self.body[self.position:self.position + 4]
        if not re.fullmatch(rb"[0-9a-fA-F]{4}", digits):
            raise JsonError("Incorrect hex digit after \\u escape in string.", start)
        self.position += 4
        return int(digits, 16)

    def _end_of(self, pattern: Pattern[bytes]) -> int:
        found = pattern.match(self.body, self.position)
        return found.end() if found else self.position
