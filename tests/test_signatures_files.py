"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from signatures.errors import UsageError
from signatures.files import check_outputs, write_whole


def test_it_is_written_with_its_folder_and_readable_by_all(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b.txt", "größer\n")
    write_whole(tmp_path / "a" / "b.bin", b"\x00\xff")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "größer\n".encode()
    assert (tmp_path / "a" / "b.bin").read_bytes() == b"\x00\xff"
    assert (tmp_path / "a" / "b.txt").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("step", ["replace", "chmod", "fsync"])
def test_a_disk_that_refuses_leaves_the_old_file_and_nothing_else(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.txt"
    write_whole(path, "old")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, refuse)
    with pytest.raises(UsageError, match=r"file\.txt cannot be written \(No space left on device\); free some space"):
        write_whole(path, "new", "free some space")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["file.txt"]


def test_a_folder_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written .*; choose another place"):
        write_whole(tmp_path / "file" / "inside", "text")


def test_outputs_are_checked_before_the_work(tmp_path: Path) -> None:
    check_outputs([tmp_path / "new" / "report.html"], (".json", ".html"))
    assert (tmp_path / "new").is_dir()
    with pytest.raises(UsageError, match=r"report\.pdf has no form; end its name in \.json, \.html"):
        check_outputs([tmp_path / "report.pdf"], (".json", ".html"))
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="folder .*file.* cannot be made"):
        check_outputs([tmp_path / "file" / "sub" / "report.json"], (".json",))
