"""The new version has an output more.

Why: REST leaves the name of a lone output away, so a second one changes the form of the answer.

Client: over gRPC nothing breaks. Over REST, one that read a bare value finds an object.

Server: nothing breaks; it computes and sends more.

Bad: `score` alone in version 1, `score` and `vector` in version 2.

Good: the second output in a signature of its own, or two of them from the first version on.
"""

from __future__ import annotations

from typing import Iterator

from signatures.changes.versions import Versions, added
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG509",
    name="added_output",
    severity="error",
    bad=(
        """
        input price float32[?]
        output score float32[?] = price
        ---
        input price float32[?]
        output score float32[?] = price
        output more float32[?] = price
        """,
        """
        input price float32[?]
        output score float32[?] = price
        output more float32[?] = price
        ---
        input price float32[?]
        output score float32[?] = price
        output more float32[?] = price
        output most float32[?] = price
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
    """Finds outputs that only the new version has; only where there was one before, that breaks anybody."""
    for pair in versions.pairs():
        for name in added(pair, "output"):
            if len(pair.old.outputs) == 1:
                yield RULE.finding(
                    f"output {name!r} is new, and REST answers named values where it answered a bare one; "
                    "put it into a signature of its own",
                    pair.name,
                    name,
                )
            else:
                yield RULE.finding(f"output {name!r} is new, and no client breaks", pair.name, name, "info")
