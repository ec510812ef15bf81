"""Runs a model in a process of its own, so that neither its crash nor its endless loop is ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any, Dict, FrozenSet, List, Optional, Tuple

from signatures.execution.checks import CODES
from signatures.export import Export
from signatures.findings import Finding, in_order

SECONDS = 300.0
"""Time limit of a run."""
_KEPT = 4096
"""Bytes kept of what the process says in the end."""


def run(
    export: Export, codes: Optional[FrozenSet[str]] = None, unsafe: bool = False, seconds: float = SECONDS
) -> List[Finding]:
    """What comes out when the model is loaded and asked; the worst first.

    codes: the checks to make (None: all). unsafe: load it even where SIG201, SIG204 or SIG205 warns of it.
    """
    wanted = sorted(CODES if codes is None else CODES & codes)
    if not wanted:
        return []
    declared = export.declaration
    order = {
        "path": str(export.model.path.resolve()),
        "features": None if declared.features is None else sorted(declared.features),
        "training_only": sorted(declared.training_only),
        "codes": wanted,
        "unsafe": unsafe,
        "seconds": seconds,
    }
    events, ending = _child(order, seconds)
    found = [Finding(**event["finding"]) for event in events if "finding" in event]
    if not any("done" in event for event in events):
        from signatures.execution.checks import sig709_unusable_model

        steps = [event["at"] for event in events if "at" in event]
        found.append(sig709_unusable_model.lost(ending, steps[-1] if steps else None))
    return in_order(each for each in found if each.rule in wanted)


def _child(order: Dict[str, Any], seconds: float) -> Tuple[List[Dict[str, Any]], str]:
    """What the process told, and how it ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "signatures.execution.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(),
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    late = threading.Event()

    def stop() -> None:
        late.set()
        _kill(process)

    timer = threading.Timer(seconds, stop)
    said = _Tail(process.stderr)
    timer.start()
    said.start()
    try:
        _send(process.stdin, order)
        events = [event for event in map(_event, process.stdout) if event is not None]
        process.wait()
    finally:
        timer.cancel()
        _kill(process)
        process.wait()
        said.join()
        process.stdout.close()
        process.stderr.close()
    if late.is_set():
        return events, f"had not finished after {seconds:g} s and was stopped"
    return events, _ending(process.returncode, said.text)


def _environment() -> Dict[str, str]:
    """This process' own, such that the child finds this package and leaves a GPU alone."""
    here = str(Path(__file__).resolve().parent.parent.parent)
    paths = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": paths, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}


def _send(stream: IO[bytes], order: Dict[str, Any]) -> None:
    try:
        stream.write(json.dumps(order).encode() + b"\n")
        stream.close()
    except BrokenPipeError:
        pass  # it has died: what it said tells why


def _event(line: bytes) -> Optional[Dict[str, Any]]:
    """A line as the child wrote it; None for the half of one that it wrote when it died."""
    try:
        found: Dict[str, Any] = json.loads(line)
        return found
    except ValueError:
        return None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends the process, and whatever it started."""
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            process.kill()


def _ending(code: int, said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    last = f" ({lines[-1].strip()[:200]})" if lines else ""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}{last}"
    return f"ended with exit code {code}{last}"


class _Tail(threading.Thread):
    """Reads a stream to its end and keeps the last of it: a model may print for ever."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self.text = ""

    def run(self) -> None:
        kept = b""
        for part in iter(lambda: self._stream.read1(_KEPT), b""):  # type: ignore[attr-defined]
            kept = (kept + part)[-_KEPT:]
        self.text = kept.decode("utf-8", "replace")
