"""An input that could be left out over gRPC must now be sent.

Why: clients leave it out.

Client: its gRPC requests are refused. Over REST nothing changes, for REST always demanded it.

Server: it loads; a warm-up record without the input is refused.

Bad: the `tf.Tensor` default of a `tf.function` argument, dropped.

Good: the default stays, or every client sends the value before.
"""

from __future__ import annotations

from typing import Iterator

from signatures.changes.versions import Versions
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG512",
    name="lost_default",
    severity="error",
    bad=(
        """
        input price float32[?]
        input k int32[]
        defaults k
        output score float32[?] = price
        ---
        input price float32[?]
        input k int32[]
        output score float32[?] = price
        """,
    ),
    good=(
        """
        input price float32[?]
        input k int32[]
        output score float32[?] = price
        ---
        input price float32[?]
        input k int32[]
        defaults k
        output score float32[?] = price
        """,
    ),
)


def check(versions: Versions) -> Iterator[Finding]:
    """Finds inputs that had a default and have none."""
    for pair in versions.pairs():
        for name in sorted(pair.old.defaults - pair.new.defaults):
            if name in pair.new.inputs:
                yield RULE.finding(
                    f"input {name!r} has lost its default, and gRPC requests without it are refused; keep the default",
                    pair.name,
                    name,
                )
