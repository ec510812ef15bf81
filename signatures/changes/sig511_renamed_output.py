"""An output seems to be the same under another name: same dtype and shape, and the names are alike.

Why: names are the contract, and nobody maps the old one to the new one.

Client: over gRPC it finds nothing under the old name. Over REST a lone output has no name, and nothing breaks.

Server: it loads; a request with an `output_filter` is refused.

Bad: `score` in version 1, `scores` in version 2.

Good: the old name on the wire, whatever the model calls it inside.
"""

from __future__ import annotations

from typing import Iterator

from signatures.changes.versions import Versions, renamed
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG511",
    name="renamed_output",
    severity="error",
    bad=(
        """
        input user_id int64[?]
        output score float32[?] = user_id
        ---
        input user_id int64[?]
        output scores float32[?] = user_id
        """,
    ),
    good=(
        """
        input user_id int64[?]
        output score float32[?] = user_id
        ---
        input user_id int64[?]
        output vector float32[?] = user_id
        """,
    ),
)


def check(versions: Versions) -> Iterator[Finding]:
    """Finds pairs of one output that went and one that came."""
    for pair in versions.pairs():
        for old, new in renamed(pair, "output").items():
            yield RULE.finding(
                f"output {old!r} is gone and {new!r} has its dtype and shape, so that it seems renamed, "
                "and clients that read the old name fail; keep the name on the wire",
                pair.name,
                old,
            )
