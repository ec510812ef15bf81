"""Checkpoints that are whole or absent: a folder is filled beside its place and then renamed.

RUN/checkpoints/last-000123/  variables, optimizer, random state, state.json
                best-000100/
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import pydantic
import tensorflow as tf

from signatures.errors import UsageError

_STATE = "state.json"


class RunState(pydantic.BaseModel):
    """Where a run stands, apart from its variables; with them it is all that decides how the run goes on."""

    model_config = pydantic.ConfigDict(extra="forbid")

    epoch: int = 0
    """Epochs done."""
    batch: int = 0
    """Batches done in the epoch after those."""
    batches: int = 0
    """Batches done in all."""
    best: Optional[float] = None
    best_epoch: int = 0
    epochs_without_gain: int = 0
    epochs_since_plateau: int = 0
    learning_rate: float = 0.0
    finished: bool = False
    wall_seconds: float = 0.0
    """Spent on it so far, over all resumes: training, validation and checkpoints."""
    cpu_seconds: float = 0.0
    """Likewise, of all threads of the process."""
    history: List[Dict[str, float]] = []
    """One record an epoch."""


class Clock:
    """Counts onto a run's state what this process has spent since it was made, or since the last count."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def count(self, state: RunState) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        state.wall_seconds += wall - self._wall
        state.cpu_seconds += cpu - self._cpu
        self._wall, self._cpu = wall, cpu


def state_of(run: Path) -> Optional[RunState]:
    """Where the run in this folder stands, without its variables; None for one that has no checkpoint."""
    folders = _folders(run / "checkpoints", "last")
    try:
        return RunState.model_validate_json((folders[-1] / _STATE).read_bytes()) if folders else None
    except (pydantic.ValidationError, OSError) as error:
        raise UsageError(f"checkpoint {folders[-1]} is damaged; train with --restart") from error


class Checkpoints:
    """Reads and writes the checkpoints of one run."""

    def __init__(self, folder: Path, graph: Any) -> None:
        self._folder = folder
        self._checkpoint = tf.train.Checkpoint(graph=graph)

    def save(self, kind: str, state: RunState) -> Path:
        """Writes `last` or `best` and drops the one before, which stays where the disk refuses: a UsageError."""
        earlier = _folders(self._folder, kind)
        place = self._folder / f"{kind}-{_next(earlier):06d}"
        with writing(self._folder.parent):
            self._folder.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(prefix=".work-", dir=self._folder))
            try:
                self._checkpoint.write(str(work / "variables"))
                (work / _STATE).write_text(state.model_dump_json(indent=1), encoding="utf-8")
                os.replace(work, place)
            finally:
                shutil.rmtree(work, ignore_errors=True)
        for folder in earlier:
            shutil.rmtree(folder, ignore_errors=True)
        return place

    def restore(self, kind: str) -> Optional[RunState]:
        """Reads the newest `last` or `best` into the graph; None when there is none."""
        folders = _folders(self._folder, kind)
        if not folders:
            return None
        try:
            state = RunState.model_validate_json((folders[-1] / _STATE).read_bytes())
            status = self._checkpoint.read(str(folders[-1] / "variables"))
            status.assert_existing_objects_matched()
            status.expect_partial()
        except (pydantic.ValidationError, tf.errors.OpError, AssertionError, LookupError, ValueError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(
                f"checkpoint {folders[-1]} does not fit this model or is damaged ({reason}); train with --restart"
            ) from error
        return state


@contextmanager
def writing(run: Path) -> Iterator[None]:
    """A disk that refuses, whether it tells Python or TensorFlow, is one sentence about the run."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0].rpartition("; ")[2].partition(" [Op:")[0]
        raise UsageError(
            f"run {run} cannot be written ({reason}); free some space or name another folder with --runs, "
            "and the same command goes on from the last checkpoint"
        ) from error


def clear(folder: Path) -> None:
    """Removes work folders that a kill left behind."""
    for path in folder.glob(".work-*"):
        shutil.rmtree(path, ignore_errors=True)


def _folders(folder: Path, kind: str) -> List[Path]:
    return sorted(folder.glob(f"{kind}-[0-9]*"))


def _next(earlier: List[Path]) -> int:
    """Counts the writings; a best epoch can be written twice at one count of batches."""
    return int(earlier[-1].name.rsplit("-", 1)[1]) + 1 if earlier else 1
