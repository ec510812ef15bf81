"""An input or output has another dtype.

Why: nobody casts on the way.

Client: over gRPC a request says its dtype and is refused; over REST numbers pass, but text for numbers, or 1.5 for an
integer, does not. What it reads is in another field of the answer.

Server: it loads; a warm-up record of the old version is refused.

Bad: `user_id` as int64, then as string.

Good: the old dtype on the wire, and a cast inside.
"""

from __future__ import annotations

from typing import Iterator

from signatures.changes.versions import Versions
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG505",
    name="changed_dtype",
    severity="error",
    bad=(
        """
        input ids int64[?]
        output score float32[?] = ids
        ---
        input ids string[?]
        output score float32[?] = ids
        """,
        """
        input ids int64[?]
        output score float32[?] = ids
        ---
        input ids int64[?]
        output score float64[?] = ids
        """,
    ),
    good=(
        """
        input ids int64[?]
        output score float32[?] = ids
        ---
        input ids int64[?,?]
        output score float32[?] = ids
        """,
    ),
)


def check(versions: Versions) -> Iterator[Finding]:
    """Finds inputs and outputs whose dtype is another one."""
    for each in versions.tensors():
        if each.old.dtype != each.new.dtype:
            consequence = (
                "requests of the old dtype are refused" if each.kind == "input" else "clients read the old one"
            )
            yield RULE.finding(
                f"{each.kind} {each.name!r} was {each.old.dtype} and is {each.new.dtype}, no side casts, and "
                f"{consequence}; keep the dtype, and cast inside",
                each.signature,
                each.name,
            )
