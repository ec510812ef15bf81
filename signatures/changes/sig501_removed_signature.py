"""A signature of the old version is gone.

Why: nothing answers what was asked of it.

Client: a request that names it is refused: `signature not found`.

Server: it loads the version and is AVAILABLE; a warm-up record for the signature keeps it from loading.

Bad: version 2 without the `rank` of version 1.

Good: old signatures stay as long as anybody asks them; a new model with other ones gets another name.
"""

from __future__ import annotations

from typing import Iterator

from signatures.changes.versions import Versions
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG501",
    name="removed_signature",
    severity="error",
    bad=(
        """
        input price float32[?]
        output score float32[?] = price
        signature rank
        input price float32[?]
        output score float32[?] = price
        ---
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
        signature rank
        input price float32[?]
        output score float32[?] = price
        """,
    ),
)


def check(versions: Versions) -> Iterator[Finding]:
    """Finds signatures that only the old version has, under any name."""
    renamed = versions.renamed()
    for name in versions.old.model.signatures:
        if name not in versions.new.model.signatures and name not in renamed:
            yield RULE.finding(
                f"signature {name!r} is gone, and requests that name it are refused; export it again, "
                "or serve this as another model",
                name,
                None,
            )
