"""What is kept of every request of a load test: three times and how it ended."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Dict, List

NOT_SENT = "NotSent"
"""Its deadline passed while it waited for an earlier answer."""


@dataclass
class Samples:
    """Columns, a place for each measured request. Times are seconds since the end of the warm-up."""

    due: array = field(default_factory=lambda: array("d"))
    """When it should have been sent; in a closed loop, when it was."""
    sent: array = field(default_factory=lambda: array("d"))
    done: array = field(default_factory=lambda: array("d"))
    rows: array = field(default_factory=lambda: array("q"))
    outcome: array = field(default_factory=lambda: array("H"))
    """0: answered; else the place of its kind in `kinds`, counted from 1."""
    kinds: List[str] = field(default_factory=list)
    """Of failure: the names of the client's exceptions."""
    examples: Dict[str, str] = field(default_factory=dict)
    """The first message of each kind."""

    def add(self, due: float, sent: float, done: float, rows: int) -> None:
        """A request was answered."""
        self._add(due, sent, done, rows, 0)

    def fail(self, due: float, sent: float, done: float, kind: str, example: str) -> None:
        """A request was not answered, or with an error."""
        if kind not in self.examples:
            self.kinds.append(kind)
            self.examples[kind] = example
        self._add(due, sent, done, 0, 1 + self.kinds.index(kind))

    def _add(self, due: float, sent: float, done: float, rows: int, outcome: int) -> None:
        self.due.append(due)
        self.sent.append(sent)
        self.done.append(done)
        self.rows.append(rows)
        self.outcome.append(outcome)
