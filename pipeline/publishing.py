"""A folder is there whole or not at all: work goes on beside it, and a rename puts it in place."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from signatures.errors import UsageError


@contextmanager
def replacing(output: Path) -> Iterator[Path]:
    """Yields an empty work folder; when the block ends without an error it takes the place of `output`.

    However the block ends, the work folder is gone. Raises UsageError when the disk refuses.
    """
    work = output.parent / f".{output.name}.work-{os.getpid()}"
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_over(output)
        work.mkdir()
        yield work
        _swap(work, output)
    except OSError as error:
        raise UsageError(f"folder {output} cannot be written: {error.strerror or error}; choose another one") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _swap(work: Path, output: Path) -> None:
    old = output.parent / f".{output.name}.old-{os.getpid()}"
    if output.exists():
        os.replace(output, old)
    os.replace(work, output)
    shutil.rmtree(old, ignore_errors=True)


def _remove_left_over(output: Path) -> None:
    """What a killed process left: its work, or the old folder it had moved aside."""
    for path in output.parent.glob(f".{output.name}.*-*"):
        process = path.name.rpartition("-")[2]
        if process.isdigit() and not _alive(int(process)):
            if path.name.startswith(f".{output.name}.old-") and not output.exists():
                os.replace(path, output)
            else:
                shutil.rmtree(path, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
