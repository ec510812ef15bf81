"""Writes what a study found into its own file: everything above `result:` stays as a person wrote it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict

import yaml

from pipeline.studies import library
from pipeline.studies.jobs import Choices
from pipeline.studies.library import Found
from pipeline.studies.outcome import Result
from signatures.errors import UsageError
from signatures.files import write_whole

_KEY = "result"


def check(found: Found, choices: Choices) -> None:
    """Raises UsageError where the result would not be what the file asks for, before anything is trained."""
    if choices.overrides:
        raise UsageError("--record and --set exclude each other: a recorded result is of the file as it is")
    if choices.seeds != found.study.seeds:
        raise UsageError(f"--record needs the file's own seeds {list(found.study.seeds)}; leave --seeds out")
    if choices.dataset is not None and choices.dataset != found.study.dataset:
        raise UsageError(f"--record needs the file's own data set {found.study.dataset!r}; leave --dataset out")
    head(found.path)


def write(found: Found, result: Result) -> None:
    """Puts the result in the place of the one before; the file is whole at any time."""
    content = {_KEY: _plain(result.model_dump(mode="json", exclude_none=True))}
    body = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
    text = head(found.path).rstrip("\n") + "\n\n" + body
    library.parse(yaml.safe_load(text), found.path)
    write_whole(found.path, text, "make it writable")


def head(path: Path) -> str:
    """The file without its result. Raises UsageError where something stands behind the result."""
    text = path.read_text(encoding="utf-8")
    start = re.search(rf"^{_KEY}\s*:", text, re.MULTILINE)
    if start is None:
        return text
    kept = text[: start.start()]
    whole = {key: value for key, value in yaml.safe_load(text).items() if key != _KEY}
    if (yaml.safe_load(kept) or {}) != whole:
        raise UsageError(f"{path}: result must be the last key of the file; move what stands behind it")
    return kept


def _plain(content: Dict[str, Any]) -> Dict[str, Any]:
    """Without what is empty."""
    return {key: value for key, value in content.items() if value not in ({}, [], ())}
