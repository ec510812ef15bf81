"""One environment's process: prepares a side and runs its rounds, one line of JSON for one line of JSON.

    {"do": "prepare", "what": "MODULE:FUNCTION", "settings": {...}}  ->  {"steps": 8, "facts": {...}}
    {"do": "round"}  ->  {"seconds": 0.1, "cpu_seconds": 0.2, "value": 0.69}, per step
    {"do": "about"}  ->  {"python": "3.11.7", "tensorflow": "2.16.2", ...}

An exception is answered as {"error": text}. The end of the input ends the process. Standard library only: it runs where
Signet is not installed.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import resource
import sys
import time
import traceback
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, List, Optional, TextIO

from tests.benchmarks.peers.work import Work

PACKAGES = ("tensorflow", "tf-keras", "tensorflow-recommenders", "scann", "deepctr", "numpy")


class Worker:
    """Holds the side that was prepared last."""

    def __init__(self) -> None:
        self._work: Optional[Work] = None

    def answer(self, asked: Dict[str, Any]) -> Dict[str, Any]:
        """What to say to one question."""
        if asked["do"] == "about":
            return about()
        if asked["do"] == "prepare":
            module, _, function = asked["what"].partition(":")
            self.close()
            self._work = getattr(importlib.import_module(module), function)(asked["settings"])
            return {"steps": self._work.steps, "facts": self._work.facts}
        if self._work is None:
            raise RuntimeError("a round was asked for before anything was prepared")
        return measured(self._work)

    def close(self) -> None:
        """Lets go of what was prepared."""
        if self._work is not None and self._work.close is not None:
            self._work.close()
        self._work = None


def measured(work: Work) -> Dict[str, float]:
    """One round, in seconds a step."""
    start, spent = time.perf_counter(), cpu_seconds()
    value = work.run()
    seconds, cpu = time.perf_counter() - start, cpu_seconds() - spent
    return {"seconds": seconds / work.steps, "cpu_seconds": cpu / work.steps, "value": float(value)}


def cpu_seconds() -> float:
    """Of this process and its children, of those that still run too where the system tells (Linux)."""
    finished = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + finished.ru_utime + finished.ru_stime + sum(map(_running, _children()))


def _children() -> List[str]:
    """Numbers of the processes that this one has started; each thread has its own."""
    found: List[str] = []
    with suppress(OSError):
        for thread in Path("/proc/self/task").iterdir():
            found += (thread / "children").read_text(encoding="utf-8").split()
    return found


def _running(child: str) -> float:
    try:
        after_name = Path(f"/proc/{child}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:  # it has ended in the meantime
        return 0.0
    # Fields 14 and 15 of proc(5), utime and stime; the first two are the number and the name.
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def about() -> Dict[str, str]:
    """Versions of what is installed here."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def serve(questions: TextIO, answers: TextIO) -> None:
    """Answers until there are no more questions."""
    worker = Worker()
    for line in questions:
        try:
            said = worker.answer(json.loads(line))
        except Exception:  # whatever a peer raises is an answer, not the end
            said = {"error": traceback.format_exc()}
        answers.write(json.dumps(said) + "\n")
        answers.flush()
    worker.close()


if __name__ == "__main__":
    # Before TensorFlow is imported: DeepCTR and tensorflow-recommenders are written for Keras 2.
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Libraries print; the answers get the standard output for themselves.
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, private)
