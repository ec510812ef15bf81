"""A counter and a histogram, as TensorFlow's `monitoring::Counter` and `Sampler` are: by name, with labelled cells."""

from __future__ import annotations

import sys
import threading
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Dict, List, Tuple

Labels = Tuple[str, ...]

_MOST_CELLS = 1000
"""Of one metric. Model names come from clients; who asks for a thousand models that do not exist gets no more cells."""


def exponential(scale: float, growth: float, count: int) -> Tuple[float, ...]:
    """The upper bounds of `count` buckets; one without a bound comes behind them."""
    return tuple(scale * growth**power for power in range(count))


@dataclass
class Counter:
    """Sums by labels."""

    name: str
    labels: Labels = ()
    cells: Dict[Labels, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, labels: Labels = (), amount: int = 1) -> None:
        with self._lock:
            if labels in self.cells or len(self.cells) < _MOST_CELLS:
                self.cells[labels] = self.cells.get(labels, 0) + amount

    def snapshot(self) -> Dict[Labels, int]:
        with self._lock:
            return dict(self.cells)


@dataclass
class Cell:
    """One histogram: how many values fell below each bound, and their sum."""

    counts: List[int]
    total: float = 0.0


@dataclass
class Histogram:
    """Distributions by labels. A value that equals a bound counts above it, as in TensorFlow."""

    name: str
    bounds: Tuple[float, ...]
    labels: Labels = ()
    cells: Dict[Labels, Cell] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, labels: Labels, value: float) -> None:
        position = bisect_right(self.bounds, value)
        with self._lock:
            cell = self.cells.get(labels)
            if cell is None:
                if len(self.cells) >= _MOST_CELLS:
                    return
                cell = self.cells[labels] = Cell([0] * (len(self.bounds) + 1))
            cell.counts[position] += 1
            cell.total += value

    def snapshot(self) -> Dict[Labels, Cell]:
        with self._lock:
            return {labels: Cell(list(cell.counts), cell.total) for labels, cell in self.cells.items()}

    def count(self, labels: Labels) -> int:
        """Values in one cell, 0 where there is none."""
        cell = self.snapshot().get(labels)
        return sum(cell.counts) if cell is not None else 0


def number(value: float) -> str:
    """Six significant digits, as `absl::StrCat` prints a double."""
    return "inf" if value > sys.float_info.max else f"{value:.6g}"
