"""TFRecord files, the form of warm-up and request logs, without TensorFlow."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path
from typing import Iterator, Sequence, Tuple

from signatures.errors import UsageError

_POLYNOMIAL = 0x82F63B78
"""Of CRC-32C, its bits reversed."""


def read(path: Path) -> Iterator[bytes]:
    """The records of a file. Raises UsageError for one that cannot be read, or is damaged."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); give a TFRecord file") from error
    place = 0
    while place < len(content):
        head = content[place:place + 12]
        if len(head) < 12 or masked_crc(head[:8]) != _number(head[8:]):
            raise UsageError(f"{path} is no TFRecord file, or is damaged at byte {place:,}; write it again")
        end = place + 12 + struct.unpack("<Q", head[:8])[0]
        record, check = content[place + 12:end], content[end:end + 4]
        if len(check) < 4 or masked_crc(record) != _number(check):
            raise UsageError(f"{path} is damaged or cut short in the record at byte {place:,}; write it again")
        yield record
        place = end + 4


def encoded(records: Sequence[bytes]) -> bytes:
    """The content of a TFRecord file."""
    parts = []
    for record in records:
        length = struct.pack("<Q", len(record))
        parts += [length, struct.pack("<I", masked_crc(length)), record, struct.pack("<I", masked_crc(record))]
    return b"".join(parts)


def masked_crc(content: bytes) -> int:
    """CRC-32C, masked as TFRecord files do: a checksum of data that holds checksums is a poor one."""
    table, value = _table(), 0xFFFFFFFF
    for byte in content:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    value ^= 0xFFFFFFFF
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _number(content: bytes) -> int:
    found: int = struct.unpack("<I", content)[0]
    return found


@cache
def _table() -> Tuple[int, ...]:
    values = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        values.append(value)
    return tuple(values)
