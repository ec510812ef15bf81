"""The new version has a signature more.

Why: it is told so that nobody is surprised by it.

Client: nobody asks for it yet; nothing breaks.

Server: nothing breaks; it may want batching parameters and warm-up records of its own.

Bad: a signature that was exported by accident.

Good: a signature that somebody is about to ask.
"""

from __future__ import annotations

from typing import Iterator

from signatures.changes.versions import Versions
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG508",
    name="added_signature",
    severity="info",
    bad=(
        """
        input price float32[?]
        output score float32[?] = price
        ---
        input price float32[?]
        output score float32[?] = price
        signature top
        input price float32[?]
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
        """,
    ),
)


def check(versions: Versions) -> Iterator[Finding]:
    """Finds signatures that only the new version has, under any name."""
    renamed = set(versions.renamed().values())
    for name in versions.new.model.signatures:
        if name not in versions.old.model.signatures and name not in renamed:
            yield RULE.finding(f"signature {name!r} is new, and no client breaks", name, None)
