"""A signature checks its inputs and fails.

Why: an assertion that fails for one row fails the whole batch, strangers' rows included. As a guard against nonsense
that is legitimate, so this is for information.

Bad: `tf.debugging.assert_less(ids, vocabulary_size)` where an unknown id may come.

Good: unknown ids go to the row for what is out of the vocabulary.
"""

from __future__ import annotations

from typing import Iterator

from signatures.export import Export
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG212",
    name="assertion",
    severity="info",
    bad=(
        """
        input id int64[?]
        output score int64[?]
        low = Less id id
        check = Assert low id
        score = Identity id ^check
        """,
        """
        input id int64[?]
        output score int64[?] = call
        call = StatefulPartitionedCall id f=@guarded
        function guarded(x) -> x ^check
          low = Less x x
          check = Assert low:z:0 x
        """,
    ),
    good=(
        """
        input id int64[?]
        output score int64[?] = id
        low = Less id id
        check = Assert low id
        """,
    ),
)


def check(export: Export) -> Iterator[Finding]:
    """Finds assertions that run; one finding for each signature."""
    for signature in export.inference():
        places = [
            each for each in export.trace(signature.name).running if each.node.op in ("Assert", "AssertNextDataset")
        ]
        if places:
            more = f" and {len(places) - 1} more" if len(places) > 1 else ""
            yield RULE.finding(
                f"{places[0]}{more} fails the whole batch for one bad row; keep it if that is meant, "
                "else answer such a row with a default",
                signature.name,
                places[0].node.name,
            )
