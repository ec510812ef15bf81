"""Rows of a signature were independent and are no longer, or the other way round.

Why: a server with batching merges the requests of strangers, which is right for independent rows only.

Client: its answers depend on who else asks, if the server goes on merging.

Server: batching must be switched off for this model before the version is served.

Bad: a list-wise model under the name, and the batching parameters, of a point-wise one.

Good: another model name, without batching.
"""

from __future__ import annotations

from typing import Iterator

from signatures.changes.versions import Versions
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG517",
    name="changed_batching",
    severity="error",
    bad=(
        """
        input price float32[?]
        output score float32[?] = price
        manifest input price float32[?]
        ---
        input price float32[?]
        output score float32[?] = price
        manifest input price float32[?]
        manifest alone
        """,
        """
        input price float32[?]
        output score float32[?] = price
        manifest input price float32[?]
        manifest alone
        ---
        input price float32[?]
        output score float32[?] = price
        manifest input price float32[?]
        """,
    ),
    good=(
        """
        input price float32[?]
        output score float32[?] = price
        manifest input price float32[?]
        ---
        input price float32[?]
        output score float32[?] = price
        manifest input price float32[?]
        """,
    ),
)


def check(versions: Versions) -> Iterator[Finding]:
    """Compares what two manifests say of the rows; a model without one says nothing."""
    old, new = versions.old.manifest, versions.new.manifest
    if old is None or new is None:
        return
    for name in sorted(old.signatures.keys() & new.signatures.keys()):
        before, after = old.signatures[name].batchable, new.signatures[name].batchable
        if before and not after:
            yield RULE.finding(
                f"rows of signature {name!r} are no longer independent, and a server that merges requests mixes them; "
                "switch batching off first, or serve this as another model",
                name,
                None,
            )
        elif after and not before:
            message = f"rows of signature {name!r} are independent now, and a server may merge requests"
            yield RULE.finding(message, name, None, "info")
