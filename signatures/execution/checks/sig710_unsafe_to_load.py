"""The model was not run, because loading it may do harm or cannot work.

Why: to load a model is to run a stranger's program. One that calls back into Python, opens files or needs ops that are
not installed is not loaded without being asked for.

Bad: `--run` on a model about which SIG201, SIG204 or SIG205 has something to say.

Good: cure that finding first; or `--allow-unsafe`, for a model that you trust, in a place where it can do no harm.
"""

from __future__ import annotations

from typing import Iterator

from signatures.execution.probe import Probe
from signatures.findings import Finding, Rule

RULE = Rule(code="SIG710", name="unsafe_to_load", severity="warning", bad=(), good=())


def check(probe: Probe) -> Iterator[Finding]:
    """Finds nothing: what would be told is known before there is a model to ask."""
    return iter(())


def withheld(reason: str) -> Finding:
    """The model was not loaded."""
    return RULE.finding(
        f"the model was not run, because {reason}; cure that first, or trust it with --allow-unsafe", None, None
    )
