"""An output of the old version is gone.

Why: clients read it.

Client: it finds nothing under that name; with an `output_filter` the request itself is refused.

Server: it loads, and where one output is left, REST no longer tells its name.

Bad: `{"score": …}` where there were `{"score": …, "vector": …}`.

Good: the output stays as long as anybody reads it.
"""

from __future__ import annotations

from typing import Iterator

from signatures.changes.versions import Versions, removed
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG503",
    name="removed_output",
    severity="error",
    bad=(
        """
        input price float32[?]
        output score float32[?] = price
        output vector float32[?,8] = price
        ---
        input price float32[?]
        output score float32[?] = price
        """,
    ),
    good=(
        """
        input price float32[?]
        output score float32[?] = price
        output vector float32[?,8] = price
        ---
        input price float32[?]
        output vector float32[?,8] = price
        output score float32[?] = price
        """,
    ),
)


def check(versions: Versions) -> Iterator[Finding]:
    """Finds outputs that only the old version has, under any name."""
    for pair in versions.pairs():
        bare = " (over REST the one that is left is answered without its name)" if len(pair.new.outputs) == 1 else ""
        for name in removed(pair, "output"):
            yield RULE.finding(
                f"output {name!r} is gone, and clients that read it fail{bare}; keep it, "
                "or serve this as another model",
                pair.name,
                name,
            )
