"""A file is there whole or not at all: it is written beside its place and then renamed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Iterable, Union

from signatures.errors import UsageError


def write_whole(path: Path, content: Union[str, bytes], cure: str = "choose another place") -> None:
    """Puts `content` at the path, text in UTF-8, its folder made; readable by all, as a server is often another user.

    Raises UsageError, which ends in `cure`, where the disk refuses; the old file then stays as it was.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, work = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(work, 0o644)
            os.replace(work, path)
        except BaseException:
            os.unlink(work)
            raise
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror or error}); {cure}") from error


def check_outputs(paths: Iterable[Path], forms: Iterable[str]) -> None:
    """Before long work. Raises UsageError for a path whose ending is none of `forms`, or whose folder cannot be."""
    for path in paths:
        if path.suffix not in forms:
            raise UsageError(f"output {path} has no form; end its name in {', '.join(forms)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"folder {path.parent} cannot be made ({error.strerror}); choose another one") from error
