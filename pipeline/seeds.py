"""One seed for a run, another for each thing in it: layers that share an integer seed start as identical twins."""

from __future__ import annotations

import hashlib


def derive(seed: int, *names: object) -> int:
    """A seed below 2^31 for the thing of this name; the same on every machine and in every process."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % 2**31
