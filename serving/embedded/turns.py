"""A limit on how many threads do the same heavy thing at the same time."""

from __future__ import annotations

import threading
from typing import Any


class Turns:
    """`with turns:` waits until fewer than `most` are inside. `most` may be changed at any time."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._inside = 0
        self._left = threading.Condition()

    def __enter__(self) -> None:
        with self._left:
            self._left.wait_for(lambda: self._inside < self.most)
            self._inside += 1

    def __exit__(self, *_: Any) -> None:
        with self._left:
            self._inside -= 1
            self._left.notify()
