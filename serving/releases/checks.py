"""What a version must be before it is loaded for release. Reads files, loads no model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

from serving.releases import memory
from signatures import manifest
from signatures.diff import diff
from signatures.findings import counted


@dataclass(frozen=True)
class Check:
    """What one check said; None for one that could not be made."""

    name: str
    passed: Optional[bool]
    detail: str


def compatible(old: Path, new: Path) -> Check:
    """Whether the clients of the old version can go on as they are with the new one."""
    found = diff(old, new)
    broken = [each for each in found if each.severity == "error"]
    if not broken:
        return Check("diff", True, f"from version {old.name}: {counted(found)}")
    more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
    return Check("diff", False, f"version {new.name} breaks clients of version {old.name}: "
                                f"{broken[0].place}: {broken[0].message}{more}; see signet diff {old} {new}")


def gates(version: Path) -> Check:
    """Whether every gate of the export passed, as its manifest says."""
    found = manifest.read(version)
    if found is None:
        return Check("gates", None, "it has no manifest, so it was exported by others and went through no gates")
    failed = [gate for gate in found.gates if not gate.passed]
    if failed:
        return Check("gates", False, f"gate {failed[0].name} failed: {failed[0].detail}; export the model again")
    if not found.gates:
        return Check("gates", False, "its manifest lists no gate, so it went through none; export the model again")
    return Check("gates", True, f"all {len(found.gates)} passed")


def room(version: Path, free_bytes: Optional[int]) -> Check:
    """Whether there is memory for the version beside what is loaded. free_bytes: None where nobody knows."""
    needed = memory.needed(version)
    if free_bytes is None:
        return Check("memory", None, f"it needs about {_mib(needed)}, and how much the server's machine has free is "
                                     "not known here; tell it by --memory MIB")
    told = f"it needs about {_mib(needed)} beside what is loaded, and {_mib(free_bytes)} are free"
    if needed > free_bytes:
        return Check("memory", False, f"{told}; give the server more, or unload something")
    return Check("memory", True, told)


def failed(found: List[Check]) -> Optional[Check]:
    """The first that says no."""
    return next((each for each in found if each.passed is False), None)


def _mib(size: int) -> str:
    return f"{-(-size // 2**20):,} MiB"
