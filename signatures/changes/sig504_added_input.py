"""The new version demands an input that the old one did not have.

Why: no client sends it yet.

Client: every request fails until it is sent. A default helps over gRPC only: REST demands every input.

Server: it loads; a warm-up record of the old version is refused.

Bad: a new feature in `serving_default` of the same model name.

Good: a new signature, or another model name, and clients that move over.
"""

from __future__ import annotations

from typing import Iterator

from signatures.changes.versions import Versions, added
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG504",
    name="added_input",
    severity="error",
    bad=(
        """
        input price float32[?]
        output score float32[?] = price
        ---
        input price float32[?]
        input k int32[?]
        output score float32[?] = price
        """,
        """
        input price float32[?]
        output score float32[?] = price
        ---
        input price float32[?]
        input k int32[]
        defaults k
        output score float32[?] = price
        """,
    ),
    good=(
        """
        input price float32[?]
        output score float32[?] = price
        ---
        input price float32[?]
        output score float32[?] = price
        signature top
        input price float32[?]
        input k int32[?]
        output score float32[?] = price
        """,
    ),
)


def check(versions: Versions) -> Iterator[Finding]:
    """Finds inputs that only the new version has."""
    for pair in versions.pairs():
        for name in added(pair, "input"):
            if name in pair.new.defaults:
                message = f"input {name!r} is new, and its default holds over gRPC only; REST clients must send it"
                yield RULE.finding(message, pair.name, name, "warning")
                continue
            yield RULE.finding(
                f"input {name!r} is new, and requests without it are refused; serve this as another model, "
                "or under another signature",
                pair.name,
                name,
            )
