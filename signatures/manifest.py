"""The manifest of an export, `assets.extra/signet.json`: what it answers, from what, and which gates it passed.

It is the contract between the pipeline that writes an export and all that read one: linter, diff, client, funnel.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Literal, Optional, Tuple

import pydantic

from signatures.errors import UsageError

PATH_IN_EXPORT = "assets.extra/signet.json"

LARGEST = 16 << 20
"""Bytes; a manifest has a few thousand."""

DType = Literal["int64", "int32", "string", "float32", "float64", "bool"]


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class TensorInfo(_Part):
    """One input or output of a signature. `shape` counts the batch; None is free."""

    dtype: DType
    shape: Tuple[Optional[int], ...]
    role: Literal["feature", "length", "request", "output"]
    """feature: a raw column; length: the valid cells of another input; request: k, ids to exclude."""
    length: Optional[str] = None
    """The input that says how many cells of this one's last axis are valid."""
    maximum_length: Optional[int] = None
    """Longer lists are cut to the newest this many cells, so a client need not send more."""


class Signature(_Part):
    """One served function."""

    inputs: Dict[str, TensorInfo]
    outputs: Dict[str, TensorInfo]
    kind: Literal["score", "rank", "embedding", "retrieve"]
    batchable: bool = True
    """Rows are independent, so the server may merge the requests of strangers."""


class Feature(_Part):
    """One declared raw column; `inputs` are the signature arguments that carry it."""

    name: str
    side: Literal["user", "item", "context", "cross"]
    kind: Literal["categorical", "numeric", "bag", "sequence", "dense"]
    dtype: DType
    inputs: Tuple[str, ...]


class Gate(_Part):
    """What one gate of the export said."""

    name: str
    passed: bool
    detail: str


class Data(_Part):
    """Which rows the model was trained on."""

    name: str
    fingerprint: str
    synthetic: bool


class Retrieval(_Part):
    """How a signature finds the best of all items, and how well it does."""

    index: Literal["exact", "inverted_file", "scann"]
    items: int
    lists: Optional[int] = None
    """Parts that the items were clustered into, where the index does."""
    probes: Optional[int] = None
    """Blocks (inverted_file) or lists (scann) that are searched for one user."""
    users: int
    """Of the test part, that recall was measured on."""
    recall: Dict[str, float]
    """By `recall@k`: the share of a user's k truly best items among the first k answers, by exact search."""


class Suppression(_Part):
    """A finding that this export is allowed to have, and why."""

    code: str
    reason: str = pydantic.Field(min_length=1)


class Manifest(_Part):
    """Everything a stranger needs to know of an export without loading it."""

    format: Literal[1] = 1
    model: str
    version: int
    created: str
    """UTC, ISO 8601."""
    schema_hash: str
    features: Tuple[Feature, ...]
    training_only: Tuple[str, ...]
    """Names of labels, masks and sample weights: they must reach no prediction."""
    signatures: Dict[str, Signature]
    extra_ops: Tuple[str, ...] = ()
    """Ops beyond the stock server's."""
    server_image: str
    metrics: Dict[str, float]
    data: Data
    code_commit: str
    retrieval: Dict[str, Retrieval] = {}
    """By the name of each signature that searches a catalogue; versions before this field have none."""
    gates: Tuple[Gate, ...] = ()
    suppressions: Tuple[Suppression, ...] = ()


def read(export: Path) -> Optional[Manifest]:
    """The manifest of the export at this folder; None for a SavedModel that is not ours.

    Raises UsageError when there is one and it cannot be understood.
    """
    path = export / PATH_IN_EXPORT
    if not path.is_file():
        return None
    try:
        if export.resolve() not in path.resolve().parents:
            raise UsageError(f"manifest {path} is a link out of the export; copy the file itself into the folder")
        if path.stat().st_size > LARGEST:
            raise UsageError(f"manifest {path} is larger than {LARGEST >> 20} MiB; export the model again")
        return Manifest.model_validate_json(path.read_bytes())
    except (pydantic.ValidationError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"manifest {path} cannot be read ({_first_problem(error)}); export the model again") from error


def write(manifest: Manifest, export: Path) -> None:
    """Writes the manifest into an export that is still in its work folder."""
    path = export / PATH_IN_EXPORT
    path.parent.mkdir(parents=True, exist_ok=True)
    content: Dict[str, Any] = manifest.model_dump(mode="json")
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _first_problem(error: Exception) -> str:
    if not isinstance(error, pydantic.ValidationError):
        return str(error)
    problems: List[Any] = list(error.errors())
    said = f"{'.'.join(map(str, problems[0]['loc']))}: {problems[0]['msg']}"
    return "".join(each if each.isprintable() else "?" for each in said[:500])  # a stranger's keys are in it
