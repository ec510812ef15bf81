"""A signature seems to be the same under another name: same method, inputs and outputs, and the names are alike.

Why: requests name the signature.

Client: a request that names the old one is refused.

Server: it loads; a warm-up record for the old name keeps it from loading.

Bad: `rank` in version 1, `ranking` in version 2.

Good: both names for the same function, until nobody asks for the old one.
"""

from __future__ import annotations

from typing import Iterator

from signatures.changes.versions import Versions
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG516",
    name="renamed_signature",
    severity="error",
    bad=(
        """
        signature rank
        input price float32[?]
        output score float32[?] = price
        ---
        signature ranking
        input price float32[?]
        output score float32[?] = price
        """,
    ),
    good=(
        """
        signature rank
        input price float32[?]
        output score float32[?] = price
        ---
        signature ranking
        input cost float32[?]
        output score float32[?] = cost
        """,
    ),
)


def check(versions: Versions) -> Iterator[Finding]:
    """Finds pairs of a signature that went and one that came."""
    for old, new in versions.renamed().items():
        yield RULE.finding(
            f"signature {old!r} is gone and {new!r} is like it, so that it seems renamed, and requests that name the "
            "old one are refused; export it under both names",
            old,
            None,
        )
