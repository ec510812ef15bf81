"""An input of the old version is gone.

Why: clients send it, and what is not in the signature is refused.

Client: its requests fail over gRPC and in REST's row form; only REST's column form ignores what is too much.

Server: it loads; a warm-up record of the old version is refused.

Bad: a feature that the model no longer uses, taken out of the signature.

Good: the input stays and is ignored inside, until no client sends it; or another model name.
"""

from __future__ import annotations

from typing import Iterator

from signatures.changes.versions import Versions, removed
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG502",
    name="removed_input",
    severity="error",
    bad=(
        """
        input price float32[?]
        input ids int64[?,?]
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
        input ids int64[?,?]
        output score float32[?] = price
        """,
    ),
)


def check(versions: Versions) -> Iterator[Finding]:
    """Finds inputs that only the old version has, under any name."""
    for pair in versions.pairs():
        for name in removed(pair, "input"):
            yield RULE.finding(
                f"input {name!r} is gone, and requests that send it are refused; keep it, or serve this as another "
                "model",
                pair.name,
                name,
            )
