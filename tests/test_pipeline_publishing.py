"""A folder is replaced whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

from pipeline import publishing
from signatures.errors import UsageError


def names(folder: Path) -> List[str]:
    return sorted(path.name for path in folder.iterdir())


def finished_process() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_new_folder_appears_at_the_end(tmp_path: Path) -> None:
    with publishing.replacing(tmp_path / "deep" / "out") as work:
        (work / "file").write_text("new")
        assert not (tmp_path / "deep" / "out").exists()
    assert names(tmp_path / "deep") == ["out"] and names(tmp_path / "deep" / "out") == ["file"]


def test_an_old_folder_is_replaced_whole(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    with publishing.replacing(tmp_path / "out") as work:
        (work / "new").write_text("new")
        assert names(tmp_path / "out") == ["old"]
    assert names(tmp_path) == ["out"] and names(tmp_path / "out") == ["new"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, UsageError])
def test_an_error_leaves_the_old_one(tmp_path: Path, error: type) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    with pytest.raises(error), publishing.replacing(tmp_path / "out") as work:
        (work / "half").write_text("half")
        raise error
    assert names(tmp_path) == ["out"] and names(tmp_path / "out") == ["old"]


def test_a_disk_that_refuses_is_one_sentence(tmp_path: Path) -> None:
    expected = pytest.raises(UsageError, match="out cannot be written: No space left on device; choose another one")
    with expected, publishing.replacing(tmp_path / "out"):
        raise OSError(28, os.strerror(28))
    assert names(tmp_path) == []


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    dead = finished_process()
    (tmp_path / f".out.work-{dead}").mkdir()
    (tmp_path / f".out.work-{os.getppid()}").mkdir()  # of a process that still works on it
    with publishing.replacing(tmp_path / "out"):
        pass
    assert names(tmp_path) == [f".out.work-{os.getppid()}", "out"]


def test_a_kill_between_the_two_renames_is_undone(tmp_path: Path) -> None:
    old = tmp_path / f".out.old-{finished_process()}"
    old.mkdir()
    (old / "file").write_text("old")
    with pytest.raises(ValueError), publishing.replacing(tmp_path / "out"):
        raise ValueError
    assert names(tmp_path) == ["out"] and (tmp_path / "out" / "file").read_text() == "old"
