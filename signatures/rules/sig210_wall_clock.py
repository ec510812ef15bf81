"""An output depends on the clock of the server.

Why: the same request gets another score tomorrow, a golden answer or a warm-up record proves nothing, and the
features of training, computed at another time, are others.

Bad: `tf.timestamp()` in the exported function.

Good: the time of the request is an input.
"""

from __future__ import annotations

from typing import Iterator

from signatures.export import Export
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG210",
    name="wall_clock",
    severity="warning",
    bad=(
        """
        input seen_at float64[?]
        output age float64[?] = call
        call = StatefulPartitionedCall seen_at f=@age
        function age(x) -> age:z:0
          now = Timestamp
          age = Sub now:ts:0 x
        """,
        """
        input price float32[?]
        output score float32[?] = branch
        now = Timestamp
        late = Greater now price
        branch = StatelessIf late price then_branch=@keep else_branch=@keep_not
        function keep(x) -> x
        function keep_not(x) -> y:y:0
          y = Neg x
        """,
    ),
    good=(
        """
        input now float64[?]
        input seen_at float64[?]
        output age float64[?]
        age = Sub now seen_at
        started = Timestamp
        log = PrintV2 started
        """,
    ),
)


def check(export: Export) -> Iterator[Finding]:
    """Finds the clock where its value reaches an output."""
    for signature in export.inference():
        for place in export.trace(signature.name).live:
            if place.node.op == "Timestamp":
                yield RULE.finding(
                    f"{place} makes an output depend on when it is asked; pass the time as an input",
                    signature.name,
                    place.node.name,
                )
