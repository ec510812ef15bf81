"""Whether there is memory to load a version beside those that serve."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import List, Optional

MARGIN = 1.2
"""Memory of a loaded version by its size on disk: variables as they are, and the graph unpacked."""
BASE_BYTES = 64 * 2**20
"""What loading costs however small the version is."""


def needed(version: Path) -> int:
    """Bytes that loading the version in this folder takes, estimated from its files."""
    return int(MARGIN * sum(file.stat().st_size for file in version.rglob("*") if file.is_file())) + BASE_BYTES


def available(root: Path = Path("/")) -> Optional[int]:
    """Bytes that this machine, or the container that this process is in, can still give; None where nobody tells."""
    found = [*_machine(root), *_group(root)]
    return min(found) if found else None


def is_here(host: str) -> bool:
    """Whether a server at this address runs on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _machine(root: Path) -> List[int]:
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    return [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]


def _group(root: Path) -> List[int]:
    """Of a control group, version 2 or 1: its limit without what cannot be taken back from it."""
    places = (
        ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current", "sys/fs/cgroup/memory.stat", "inactive_file"),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/memory/memory.usage_in_bytes",
         "sys/fs/cgroup/memory/memory.stat", "total_inactive_file"),
    )
    for limit, usage, statistics, reclaimable in places:
        try:
            most, used = (int((root / file).read_text(encoding="ascii")) for file in (limit, usage))
            lines = (root / statistics).read_text(encoding="ascii").splitlines()
        except (OSError, ValueError):  # `max` is no number: there is no limit
            continue
        given_back = [int(line.split()[1]) for line in lines if line.split()[:1] == [reclaimable]]
        return [max(0, most - used + sum(given_back))]
    return []
