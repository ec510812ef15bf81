"""When a request is sent again: how often, how soon, and how many repeats a struggling server is asked to bear."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Optional

from serving.client.errors import ClientError, DeadlineExceeded, RequestError


@dataclass(frozen=True)
class Retry:
    """Asking changes nothing on a server, so a repeat is safe; whether it helps depends on the error.

    All attempts and the pauses between them happen within the call's deadline. Raises RequestError for values that make
    no sense.
    """

    attempts: int = 3
    """In all, the first included; 1 for no repeat."""
    first_pause_seconds: float = 0.05
    """Doubled before each further attempt; half of a pause is left to chance, so that clients do not march in step."""
    longest_pause_seconds: float = 1.0
    budget: float = 10.0
    """Repeats that may be owed at once, by all calls of a client together: in an outage nobody repeats for ever."""
    earned: float = 0.1
    """What a success pays back, so that in the long run at most one request in ten is a repeat."""
    after_deadline: bool = False
    """Also repeat what came too late."""
    attempt_seconds: Optional[float] = None
    """The deadline of a single attempt; the rest of the call's deadline by default."""

    def __post_init__(self) -> None:
        for name in ("first_pause_seconds", "longest_pause_seconds", "budget", "earned"):
            if not getattr(self, name) >= 0:
                raise RequestError(f"Retry.{name} should be 0 or more; received {getattr(self, name)}")
        if self.attempts < 1:
            raise RequestError(f"Retry.attempts should be 1 or more, the first one included; received {self.attempts}")
        if self.attempt_seconds is not None and not self.attempt_seconds > 0:
            raise RequestError(f"Retry.attempt_seconds should be more than 0; received {self.attempt_seconds}")

    def helps(self, error: ClientError) -> bool:
        """Whether an error is one to repeat the request after."""
        return error.retry and (self.after_deadline or not isinstance(error, DeadlineExceeded))

    def pause(self, repeat: int, chance: float) -> float:
        """Seconds before the repeat of this number, from 1; `chance` lies between 0 and 1."""
        longest = min(self.longest_pause_seconds, self.first_pause_seconds * 2.0 ** min(repeat - 1, 60))
        return longest * (0.5 + 0.5 * chance)


class Budget:
    """The repeats left to a client; threads share it."""

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._left = retry.budget
        self._lock = threading.Lock()

    def earn(self) -> None:
        """A request succeeded."""
        with self._lock:
            self._left = min(self._retry.budget, self._left + self._retry.earned)

    def take(self) -> bool:
        """Whether one more repeat may be; if so it is spent."""
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True
