"""What releases did, one JSON object a line, beside the models.config; and which version was stable before."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from signatures.errors import UsageError

NAME = "releases.jsonl"
STARTED, DONE, REFUSED, FAILED = "started", "done", "refused", "failed"
WHOLE = "release"
"""The step that stands for all of them: its `done` is written last."""
PROMOTE, ROLLBACK, CANARY = "promote", "rollback", "canary"


@dataclass(frozen=True)
class Log:
    """The lines of one release. `told` hears of each of them."""

    path: Path
    action: str
    model: str
    version: int
    previous: Optional[int]
    """What was stable before it."""
    told: Callable[[str], None] = lambda line: None
    release: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def write(self, step: str, outcome: str, detail: str = "") -> None:
        """Appends a line, and returns when it is on the disk. Raises UsageError when it cannot be written."""
        line = {
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"), "release": self.release,
            "action": self.action, "model": self.model, "version": self.version, "previous": self.previous,
            "step": step, "outcome": outcome, "detail": detail,
        }
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written ({error.strerror}); no release goes unlogged") from error
        self.told(f"{step}: {outcome}{f' ({detail})' if detail else ''}")


def read(path: Path) -> List[Dict[str, Any]]:
    """Every line, the oldest first; none where there is no file. Raises UsageError for one that cannot be read.

    A last line without its end was being written when the machine went down, and is passed over.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error}); correct or remove it") from error
    lines = text.split("\n")[:-1]
    try:
        return [json.loads(line) for line in lines if line.strip()]
    except ValueError as error:
        raise UsageError(f"{path} holds a line that is no JSON ({error}); correct or remove it") from error


def stable_before(lines: List[Dict[str, Any]], model: str, stable: int) -> Optional[int]:
    """The version that was stable before `stable`, as promotions and rollbacks tell; None when there was none.

    Versions that were rolled back from are not gone back to: after 1, 2, 3 and a rollback to 2, it is 1.
    """
    stack: List[int] = []
    for line in lines:
        if line["model"] != model or (line["step"], line["outcome"]) != (WHOLE, DONE):
            continue
        if line["action"] == PROMOTE:
            if not stack and line["previous"] is not None:
                stack.append(line["previous"])
            if stack[-1:] != [line["version"]]:
                stack.append(line["version"])
        elif line["action"] == ROLLBACK:
            while stack and stack[-1] != line["version"]:
                stack.pop()
            stack = stack or [line["version"]]
    if stack and stack[-1] == stable:
        stack.pop()
    # Else the last promotion was killed after it had moved the label, and the log ends with what was before.
    return stack[-1] if stack else None
