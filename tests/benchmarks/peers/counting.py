"""What a step has to do at least: the floating point operations of its products of matrices."""

from __future__ import annotations

from typing import Sequence

FORWARD, TRAINING = 1, 3
"""Products for each layer: forwards, and backwards once for its input and once for its kernel."""


def dense(rows: int, widths: Sequence[int], passes: int = FORWARD) -> float:
    """Gigaflop of dense layers of these widths, the input's first, over so many rows."""
    return 2e-9 * rows * passes * sum(before * after for before, after in zip(widths, widths[1:]))
