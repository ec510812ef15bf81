"""Answers that are kept beside a run, so that the next call neither trains nor evaluates again."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import Optional

import numpy as np
import pydantic

from pipeline.evaluation.evaluate import Answered
from pipeline.evaluation.results import Answer
from pipeline.prepared import Part
from signatures.files import write_whole

_CURE = "free some space or name another folder with --runs, and the same command goes on"


class _Kept(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    key: str
    """Of everything that decides the answer."""
    answer: Answer


def save(folder: Path, part: Part, key: str, answered: Answered) -> None:
    """Writes the answer last: where it is, its draws are whole."""
    draws = io.BytesIO()
    np.savez_compressed(draws, **answered.draws)
    write_whole(folder / f"draws_{part}.npz", draws.getvalue(), _CURE)
    kept = _Kept(key=key, answer=answered.answer)
    write_whole(folder / f"answer_{part}.json", kept.model_dump_json() + "\n", _CURE)


def load(folder: Path, part: Part, key: str) -> Optional[Answered]:
    """What was kept under this key; None where it is absent, damaged, or of another key."""
    try:
        kept = _Kept.model_validate_json((folder / f"answer_{part}.json").read_bytes())
        if kept.key != key:
            return None
        content = io.BytesIO((folder / f"draws_{part}.npz").read_bytes())
        with np.load(content) as file:
            return Answered(kept.answer, {name: file[name] for name in file.files})
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
