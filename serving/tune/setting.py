"""One way to batch, as text for the server and as sizes to warm up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

POWERS, ONE, ANY = "powers of two", "largest only", "any"
_ENQUEUED_BATCHES = 100
"""Beyond it a request is refused at once rather than kept waiting."""


@dataclass(frozen=True)
class Setting:
    """rows: of a batch at most. timeout_micros: what the first request of a batch waits for others."""

    rows: int
    timeout_micros: int = 0
    threads: int = 1
    allowed: str = POWERS
    """Which sizes batches are padded to: fewer sizes need fewer warm-ups and buffers, and more rows for nothing."""

    def sizes(self) -> Tuple[int, ...]:
        """allowed_batch_sizes, ascending; the last is `rows`, as the server demands. None for any size."""
        if self.allowed == ANY:
            return ()
        if self.allowed == ONE:
            return (self.rows,)
        powers, size = [], 1
        while size < self.rows:
            powers.append(size)
            size *= 2
        return (*powers, self.rows)

    def warm_up_sizes(self) -> Tuple[int, ...]:
        """Batches of these sizes will come; of any size, the smallest and the largest stand for all."""
        return self.sizes() or tuple(sorted({1, self.rows}))

    def text(self, pads: bool) -> str:
        """BatchingParameters in text form. pads: lists of any length come, and merge only when padded."""
        lines = [
            "# Written by signet tune.",
            f"max_batch_size {{ value: {self.rows} }}",
            f"batch_timeout_micros {{ value: {self.timeout_micros} }}",
            f"max_enqueued_batches {{ value: {_ENQUEUED_BATCHES} }}",
            "# A server with --enable_per_model_batching_parameters takes the threads from its own file.",
            f"num_batch_threads {{ value: {self.threads} }}",
            *(f"allowed_batch_sizes: {size}" for size in self.sizes()),
        ]
        return "\n".join([*lines, *(["pad_variable_length_inputs: true"] if pads else [])]) + "\n"

    def told(self) -> str:
        """In words."""
        many = "thread" if self.threads == 1 else "threads"
        return f"{self.rows} rows, {self.timeout_micros:,} µs, {self.threads} {many}, {self.allowed}"


@dataclass(frozen=True)
class Measured:
    """A setting under load; None is no batching at all. Latencies in milliseconds, of answered requests."""

    setting: Optional[Setting]
    rows_per_second: float
    p50: float
    p99: float
    answered: int
    failed: int

    def meets(self, p99_ms: float) -> bool:
        """Every request was answered, and the slowest hundredth in time."""
        return self.answered > 0 and self.failed == 0 and self.p99 <= p99_ms

    def told(self) -> str:
        """The setting in words."""
        return "no batching" if self.setting is None else self.setting.told()
