"""An input seems to be the same under another name: same dtype and shape, and the names are alike.

Why: names are the contract, and nobody maps the old one to the new one.

Client: what it sends is refused, and what it does not send is missing.

Server: it loads; a warm-up record of the old version is refused.

Bad: `user` in version 1, `user_id` in version 2.

Good: the old name on the wire, whatever the model calls it inside.
"""

from __future__ import annotations

from typing import Iterator

from signatures.changes.versions import Versions, renamed
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG510",
    name="renamed_input",
    severity="error",
    bad=(
        """
        input user_id int64[?]
        output score float32[?] = user_id
        ---
        input user int64[?]
        output score float32[?] = user
        """,
    ),
    good=(
        """
        input user_id int64[?]
        output score float32[?] = user_id
        ---
        input user string[?]
        output score float32[?] = user
        """,
    ),
)


def check(versions: Versions) -> Iterator[Finding]:
    """Finds pairs of one input that went and one that came."""
    for pair in versions.pairs():
        for old, new in renamed(pair, "input").items():
            yield RULE.finding(
                f"input {old!r} is gone and {new!r} has its dtype and shape, so that it seems renamed, "
                "and requests with the old name are refused; keep the name on the wire",
                pair.name,
                old,
            )
