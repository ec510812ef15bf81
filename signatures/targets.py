"""Which models some paths stand for: a SavedModel, a folder of its versions, a folder of models such as `exports/`."""

from __future__ import annotations

from pathlib import Path
from typing import Iterable, List, Tuple

from signatures import reader
from signatures.errors import UsageError

_FILES = ("saved_model.pb", "saved_model.cpb", "saved_model.pbtxt")


def models(paths: Iterable[Path]) -> Tuple[List[Path], bool]:
    """The folders to be linted, each once, and whether they are many by nature: several paths, or a folder of models.

    A folder found in a folder of models may turn out unreadable; that is said when it is read. Raises UsageError for a
    path that holds no model.
    """
    given = list(paths)
    found: List[Path] = []
    many = len(given) > 1
    for path in given:
        within = [] if _is_model(path) else _models_within(path)
        many = many or bool(within)
        found += within or [reader.locate(path)]
    return list(dict.fromkeys(found)), many


def _models_within(folder: Path) -> List[Path]:
    """The models one level below, by name; hidden folders are somebody's work in progress."""
    try:
        below = sorted(each for each in folder.iterdir() if not each.name.startswith(".")) if folder.is_dir() else []
    except OSError as error:
        raise UsageError(f"{folder} cannot be listed ({error.strerror}); check its permissions") from error
    return [each for each in below if _is_model(each)]


def _is_model(folder: Path) -> bool:
    """True for a SavedModel and for a folder with a version in it; also for a damaged one."""
    if not folder.is_dir():
        return False
    try:
        names = [each.name for each in folder.iterdir()]
    except OSError:
        return True  # reading it says what is wrong
    return any(name in _FILES or (name.isdecimal() and (folder / name).is_dir()) for name in names)
