"""The model does not load, answers no request, or takes the process down.

Why: a server keeps such a version from being served, or is AVAILABLE and fails every request, or dies.

Bad: a table that nothing initialises, variables that are missing, an op without a kernel, an endless loop; layers of
Keras 3 through `tf.saved_model.save`, whose variables are restored under other names than the signature reads.

Good: it loads, and answers a request made from nothing but its signature. Models of Keras 3 by `model.export`.
"""

from __future__ import annotations

from typing import Iterator, Optional, Sequence

from signatures.execution.probe import Probe, Refused
from signatures.findings import Finding, Rule, Severity

RULE = Rule(
    code="SIG709",
    name="unusable_model",
    severity="error",
    bad=(
        """
        input price float32[?]
        output score float32[?] = refuse('Table not initialized.')
        """,
        """
        input price float32[?]
        output score float32[?] = refuse('indices[0] = 1 is not in [0, 0)', 'INVALID_ARGUMENT')
        """,
    ),
    good=(
        """
        input user_id int64[?]
        output score float32[?] = gather(1, user_id)
        """,
    ),
)

_PERHAPS_OURS = ("INVALID_ARGUMENT", "OUT_OF_RANGE", "INTERNAL")
"""Codes with which a good model refuses what was asked."""


def check(probe: Probe) -> Iterator[Finding]:
    """Tells of a signature that has answered nothing."""
    if probe.base is not None:
        return
    if probe.failure is None:
        yield RULE.finding(
            "no request can be made for this signature, so that it was not run; add golden requests to the export",
            probe.signature.name,
            None,
            "info",
        )
        return
    severity = _severity(probe.failure, [each.dtype for each in probe.inputs.values()])
    yield RULE.finding(
        f"every request that was tried fails ({probe.failure.code}: {probe.failure.message}); "
        "make it answer, or add a golden request that it does answer to the export",
        probe.signature.name,
        None,
        severity,
    )


def _severity(failure: Refused, dtypes: Sequence[str]) -> Severity:
    """A warning where the made-up requests may be at fault; for information where the model validates them, or wants
    texts, which may have to be images.
    """
    if failure.code not in _PERHAPS_OURS:
        return RULE.severity
    return "info" if failure.deliberate or "string" in dtypes else "warning"


def unloadable(reason: str) -> Finding:
    """The model itself cannot be used."""
    return RULE.finding(f"the model does not load ({reason}); export it again where its files are", None, None)


def lost(reason: str, what: Optional[str]) -> Finding:
    """The process that ran the model has ended, or was ended, while it did something."""
    return RULE.finding(f"the process {reason} while {what or 'it started'}; find the op that does it", None, None)
