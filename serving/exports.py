"""The exported models in a folder: `EXPORTS/MODEL/VERSION/`. Reads names and manifests, never loads a model."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Optional, Sequence

from signatures import manifest
from signatures.errors import UsageError
from signatures.manifest import Manifest


def newest(model: Path) -> Optional[Path]:
    """The version folder with the highest number; None when there is none."""
    if not model.is_dir():
        return None
    versions = [entry for entry in model.iterdir() if entry.name.isascii() and entry.name.isdigit() and entry.is_dir()]
    return max(versions, key=lambda entry: int(entry.name), default=None)


def models(exports: Path) -> List[str]:
    """The names of the models that have a version, sorted."""
    if not exports.is_dir():
        return []
    return sorted(entry.name for entry in exports.iterdir() if newest(entry) is not None)


def base_paths(exports: Path, names: Sequence[str]) -> Dict[str, Path]:
    """The absolute base path of each model, of all when none is named. Raises UsageError for one without a version."""
    known = models(exports)
    if not known:
        raise UsageError(f"{exports} holds no exported model; export one with: signet export --model NAME")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"model {unknown[0]!r} has no version in {exports}; it holds {', '.join(known)}")
    return {name: (exports / name).resolve() for name in names or known}


def manifests(exports: Path, names: Sequence[str]) -> Dict[str, Manifest]:
    """The manifest of each model's newest version, where it has one. Raises UsageError for one that cannot be read."""
    found: Dict[str, Manifest] = {}
    for name in names:
        version = newest(exports / name)
        read = manifest.read(version) if version is not None else None
        if read is not None:
            found[name] = read
    return found
