"""A serialized SavedModel without its large constants, so that a file of hundreds of megabytes is not parsed whole.

Nobody reads what is in a large constant; what counts is how large it is. The fields are walked over in place, in the
wire format of protocol buffers, without copying: what is small is taken as it is, of what is large only the way to it.
A node that lost something gets an attribute instead, CONTENT, with the number of bytes.
"""

from __future__ import annotations

import mmap
from typing import Iterator, List, Mapping, NamedTuple, Tuple, Union

CONTENT = "_signet_content_bytes"

_PAGES = 32 << 20


class Damaged(Exception):
    """The bytes are no protocol buffer."""


class TooLarge(Exception):
    """What is left without the constants is more than was allowed."""


class _Field(NamedTuple):
    number: int
    start: int
    """Of its tag."""
    content: int
    """Of its payload."""
    end: int


class _Message(NamedTuple):
    """What to do with fields of a message that are large: look into some, leave some out. Others are kept."""

    name: str
    inside: Mapping[int, _Message] = {}
    dropped: Tuple[int, ...] = ()
    kept: Tuple[int, ...] = ()
    """Where it is not empty: only these are kept, however small the others are."""


# Field numbers of tensor.proto, attr_value.proto, node_def.proto, function.proto, graph.proto and meta_graph.proto.
_TENSOR = _Message("tensor", kept=(1, 2))
_LIST = _Message("list", kept=(9,))
_VALUE = _Message("value", {1: _LIST, 8: _TENSOR}, dropped=(2,))
_ATTRIBUTE = _Message("attribute", {2: _VALUE})
_NODE = _Message("node", {5: _ATTRIBUTE}, dropped=(7, 8))
_FUNCTION = _Message("function", {3: _NODE, 5: _ATTRIBUTE}, dropped=(7,))
_LIBRARY = _Message("library", {1: _FUNCTION}, dropped=(3,))
_GRAPH = _Message("graph", {1: _NODE, 2: _LIBRARY}, dropped=(5,))
_META_INFORMATION = _Message("meta information", dropped=(2,))
_META_GRAPH = _Message("meta graph", {1: _META_INFORMATION, 2: _GRAPH}, dropped=(7,))
_SAVED_MODEL = _Message("saved model", {2: _META_GRAPH})


def slim(data: Union[bytes, mmap.mmap], large: int, allowed: int) -> bytes:
    """A serialized SavedModel without what is larger than `large` bytes and not looked at.

    Raises Damaged when it is none, and TooLarge when more than `allowed` bytes would be left.
    """
    walk = _Walk(data, large, allowed)
    pieces, _ = walk.slimmed(0, len(data), _SAVED_MODEL)
    return b"".join(pieces)


class _Walk:
    """One way through the file, from its start to its end."""

    def __init__(self, data: Union[bytes, mmap.mmap], large: int, allowed: int) -> None:
        self.data = data
        self.large = large
        self.allowed = allowed
        self.passed = 0
        """Bytes left out since the pages of the file were last given back."""

    def slimmed(self, start: int, end: int, message: _Message) -> Tuple[List[bytes], int]:
        """What is left of a message, in pieces, and how many bytes were left out of nodes' attributes.

        Recursion is as deep as the messages above, whatever the file says.
        """
        pieces: List[bytes] = []
        lost, copied = 0, start
        for field in _fields(self.data, start, end):
            size = field.end - field.content
            inside = message.inside.get(field.number) if size > self.large else None
            if inside is None and not _drops(message, field.number, size > self.large):
                continue
            self._keep(pieces, self.data[copied : field.start])
            copied = field.end
            if inside is None:
                lost += size
                self._pass_over(size)
                continue
            inner, less = self.slimmed(field.content, field.end, inside)
            self._keep(pieces, _varint(field.number << 3 | 2) + _varint(sum(map(len, inner))))
            pieces += inner
            lost += less
        self._keep(pieces, self.data[copied:end])
        if message is _NODE and lost:
            self._keep(pieces, _content_attribute(lost))
            lost = 0
        return pieces, lost

    def _keep(self, pieces: List[bytes], piece: bytes) -> None:
        self.allowed -= len(piece)
        if self.allowed < 0:
            raise TooLarge
        if piece:
            pieces.append(piece)

    def _pass_over(self, size: int) -> None:
        """Gives back what the kernel mapped around the places that were looked at; it would stay in memory."""
        self.passed += size
        if self.passed > _PAGES and isinstance(self.data, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            self.data.madvise(mmap.MADV_DONTNEED)
            self.passed = 0


def _drops(message: _Message, number: int, is_large: bool) -> bool:
    if message.kept:
        return number not in message.kept
    return is_large and number in message.dropped


def _content_attribute(size: int) -> bytes:
    """An entry of a node's attributes: CONTENT -> AttrValue(i=size). Where a key comes twice, the last one counts."""
    value = b"\x18" + _varint(size)
    entry = b"\x0a" + _varint(len(CONTENT)) + CONTENT.encode() + b"\x12" + _varint(len(value)) + value
    return b"\x2a" + _varint(len(entry)) + entry


def _fields(data: Union[bytes, mmap.mmap], start: int, end: int) -> Iterator[_Field]:
    """The fields of the message between two places."""
    place = start
    while place < end:
        tag, content = _read_varint(data, place, end)
        kind = tag & 7
        if kind == 2:
            size, content = _read_varint(data, content, end)
            after = content + size
        elif kind == 0:
            _, after = _read_varint(data, content, end)
        elif kind in (1, 5):
            after = content + (8 if kind == 1 else 4)
        else:
            raise Damaged
        if after > end:
            raise Damaged
        yield _Field(tag >> 3, place, content, after)
        place = after


def _read_varint(data: Union[bytes, mmap.mmap], place: int, end: int) -> Tuple[int, int]:
    """A number, and where it ends."""
    number = shift = 0
    while place < end and shift < 70:
        byte = data[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
        shift += 7
    raise Damaged


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
