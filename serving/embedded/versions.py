"""Which version folders there are, and which of them a model's policy wants served."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, FrozenSet, Optional


@dataclass(frozen=True)
class Policy:
    """`latest` n versions; or `specific` numbers; or, with neither, all of them."""

    latest: Optional[int] = 1
    specific: FrozenSet[int] = frozenset()


def present(base_path: Path) -> Optional[Dict[int, Path]]:
    """The integer-named folders below a model's base path; None when the base path cannot be read.

    A base path that vanishes and one that is empty differ: the first leaves everything serving, the second unloads.
    """
    try:
        entries = list(base_path.iterdir())
    except OSError:
        return None
    # ASCII digits only, as in the real server: str.isdigit() alone would take superscripts for numbers.
    named = (entry for entry in entries if entry.name.isascii() and entry.name.isdigit())
    return {int(entry.name): entry for entry in named if entry.is_dir()}


def aspired(versions: Dict[int, Path], policy: Policy) -> Dict[int, Path]:
    """The versions that the policy wants served."""
    if policy.specific:
        return {number: path for number, path in versions.items() if number in policy.specific}
    if policy.latest is None:
        return dict(versions)
    newest = sorted(versions, reverse=True)[:policy.latest]
    return {number: versions[number] for number in newest}
