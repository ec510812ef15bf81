"""A worker's process as the driver sees it: a question goes in, an answer comes out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, Optional, Type

from tests.benchmarks.peers.work import Settings

ROOT = Path(__file__).resolve().parents[3]
SECONDS_TO_END = 20
SHOWN = 2000
"""Last characters of what a process said."""


class WorkerFailed(Exception):
    """A side could not be prepared or run; the message is the last thing that it said."""


class Process:
    """Starts the worker of one environment; to be used in a `with` block, at whose end it is gone."""

    def __init__(self, python: Path, words: Path) -> None:
        """`words`: the file for what its libraries print."""
        self._words = words
        self._log = words.open("ab")
        # A session of its own: Ctrl-C is for the driver, which then ends its workers itself.
        self._process = subprocess.Popen(
            [str(python), "-m", "tests.benchmarks.peers.worker"], cwd=ROOT, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self._log, text=True, start_new_session=True,
        )

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        try:
            if kind is not None:
                self._signal(signal.SIGTERM)
            self._process.communicate(timeout=SECONDS_TO_END)
        except (subprocess.TimeoutExpired, OSError):
            self._signal(signal.SIGKILL)
            self._process.wait()
        finally:
            self._log.close()

    def _signal(self, number: signal.Signals) -> None:
        """To the whole session: a server that the worker has started ends with it."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def about(self) -> Dict[str, str]:
        """Versions."""
        return self._ask({"do": "about"})

    def prepare(self, what: str, settings: Settings) -> Dict[str, Any]:
        """Its steps in a round, and its facts."""
        return self._ask({"do": "prepare", "what": what, "settings": settings})

    def round(self) -> Dict[str, float]:
        """Seconds, processor seconds and the value of one round, a step."""
        return self._ask({"do": "round"})

    def _ask(self, question: Dict[str, Any]) -> Dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it has ended: the empty answer below tells
        line = self._process.stdout.readline()
        if not line:
            said = self._words.read_text(encoding="utf-8", errors="replace")[-SHOWN:].strip()
            raise WorkerFailed(f"the process ended with code {self._process.wait()}; it said: {said}")
        answer: Dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerFailed(answer["error"].strip().splitlines()[-1].strip())
        return answer
