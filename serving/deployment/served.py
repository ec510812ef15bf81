"""What the files for a server depend on, read from the exports: never typed a second time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import List, Mapping, Optional

from serving.exports import newest
from serving.launch import IMAGE
from signatures import lint, manifest
from signatures.errors import UsageError
from signatures.manifest import Manifest
from signatures.rules import sig206_required_xla

TUNED = "batching_params.pbtxt"
"""In a version folder: how `--enable_per_model_batching_parameters` batches this model."""

_ROWS_AXIS = 1
_THREADS = re.compile(r"^\s*num_batch_threads\s*:?\s*{\s*value\s*:\s*(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Served:
    """One model, as its newest version and the size of its largest one tell."""

    name: str
    image: str = IMAGE
    """The server that has its ops."""
    mebibytes: int = 1
    """On disk, the largest version."""
    independent_rows: bool = True
    """Every signature declares that its rows are, so the server may merge the requests of strangers."""
    ragged: bool = True
    """It has lists of any length: requests merge only when the server pads them."""
    tuned: bool = False
    """It ships batching parameters of its own."""
    threads: Optional[int] = None
    """How many batches at once these were tuned for."""
    xla: bool = False
    """A signature insists on being compiled by XLA."""


def describe(folders: Mapping[str, Path]) -> List[Served]:
    """The models at these base paths, in this order. Raises UsageError for one without a version or unreadable."""
    return [_describe(name, folder) for name, folder in folders.items()]


def _describe(name: str, folder: Path) -> Served:
    version = newest(folder)
    if version is None:
        raise UsageError(f"model {name!r} has no version in {folder}; export one with: signet export --model {name}")
    found = manifest.read(version)
    return Served(
        name=name,
        image=found.server_image if found else IMAGE,
        mebibytes=max(_mebibytes(each) for each in folder.iterdir() if each.is_dir() and each.name.isdigit()),
        # Of a stranger's model nothing is known, and a wrong guess would mix up the answers of its clients.
        independent_rows=found is not None and all(each.batchable for each in found.signatures.values()),
        ragged=_ragged(found),
        tuned=(version / TUNED).is_file(),
        threads=_threads(version),
        xla=any(sig206_required_xla.check(lint.open_export(version))),
    )


def _threads(version: Path) -> Optional[int]:
    """As the parameters say; None where they do not. Raises UsageError for a file that cannot be read."""
    try:
        found = _THREADS.search((version / TUNED).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{version / TUNED} cannot be read ({error}); tune the model again") from error
    return int(found.group(1)) if found is not None else None


def _ragged(found: Optional[Manifest]) -> bool:
    """Whether an input has a free axis behind that of the rows."""
    if found is None:
        return False
    inputs = (each for signature in found.signatures.values() for each in signature.inputs.values())
    return any(size is None for each in inputs for size in each.shape[_ROWS_AXIS:])


def _mebibytes(version: Path) -> int:
    """Rounded up, at least 1."""
    total = sum(path.stat().st_size for path in version.rglob("*") if path.is_file())
    return max(1, -(-total // 2**20))
