"""What a side makes of a comparison: something that can be run again and again, and what is to be known of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Optional

Settings = Dict[str, Any]
"""Plain data, the same for both sides."""


@dataclass(frozen=True)
class Work:
    """One side, ready. Nothing of it is measured before `run` has been called once."""

    run: Callable[[], float]
    """One round; returns something that depends on the result, such as the loss, so that it is known to be a number."""
    steps: int
    """Steps or calls in a round; times are divided by it."""
    facts: Dict[str, Any] = field(default_factory=dict)
    """Plain data. `gigaflop` is what the products of matrices in a step must do, `gigabytes` what it must move."""
    close: Optional[Callable[[], None]] = None
