"""Which image serves these models, and how much memory it needs."""

from __future__ import annotations

from typing import Optional, Sequence

from serving.deployment.served import Served
from serving.launch import IMAGE
from signatures.errors import UsageError

GPU_IMAGE = f"{IMAGE}-gpu"
SCANN_IMAGE = "google/tf-serving-scann:2.11.0"
"""The last one published; it knows ScaNN's ops, and has no GPU variant."""

_RUNTIME_MEBIBYTES = 1024
_CUDA_MEBIBYTES = 3072
_STEP = 256
# TensorFlow Serving's own estimate of a version's memory: 1.2 bytes for each on disk; a hot swap holds two versions.
_PER_MEBIBYTE = 2 * 1.2


def image(models: Sequence[Served]) -> str:
    """The image that all of them ask for. Raises UsageError where they differ: one server is one image."""
    wanted = {each.image: each.name for each in models}
    if len(wanted) > 1:
        (first, one), (second, other), *_ = wanted.items()
        raise UsageError(
            f"model {one!r} needs the server {first} and {other!r} needs {second}; "
            f"write a folder for each: signet serve --model {other} --write-config …"
        )
    return next(iter(wanted))


def gpu_image(models: Sequence[Served]) -> Optional[str]:
    """Likewise on a GPU; None where the image has no such variant."""
    return GPU_IMAGE if image(models) == IMAGE else None


def memory_mebibytes(models: Sequence[Served], gpu: bool = False) -> int:
    """What the container needs in main memory while new versions of all models are loaded beside the old ones."""
    needed = _RUNTIME_MEBIBYTES + (_CUDA_MEBIBYTES if gpu else 0) + _PER_MEBIBYTE * sum(x.mebibytes for x in models)
    return _STEP * int(-(-needed // _STEP))
