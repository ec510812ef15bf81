"""Python's collector of garbage, asked less often: a graph is a million small objects, none of them garbage.

Going through them again and again takes a third of the time that a large model takes to lint.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import Iterator

ALLOCATIONS = 1_000_000
"""New objects after which the collector looks for garbage; Python's own number is 700."""


@contextmanager
def rarely() -> Iterator[None]:
    """Lets the collector run rarely within a command, which has the process to itself; as before afterwards."""
    before = gc.get_threshold()
    gc.set_threshold(ALLOCATIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
