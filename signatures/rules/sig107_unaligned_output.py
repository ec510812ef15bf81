"""An output has not one row per row of the request.

Why: REST's row form splits outputs by rows, and batching merges requests of strangers and splits the outputs again:
both need the batch as the free first axis of every output.

Bad: an output of shape `[]`, `[1]` or of unknown rank.

Good: `[?]`, `[?, 10]`. A signature that the manifest declares as not batchable is not asked.
"""

from __future__ import annotations

from typing import Iterator

from signatures.export import Export
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG107",
    name="unaligned_output",
    severity="warning",
    bad=(
        """
        input price float32[?]
        output mean float32[]
        mean = Mean price
        """,
        """
        input price float32[?]
        output score float32[8] = price
        """,
        """
        input price float32[?]
        output kept float32
        kept = BooleanMask price
        """,
    ),
    good=(
        """
        input price float32[?]
        output score float32[?] = price
        output pair float32[?,2] = price
        """,
    ),
)


def check(export: Export) -> Iterator[Finding]:
    """Finds outputs whose static shape does not begin with a free axis."""
    for signature in export.row_wise():
        for name, info in signature.outputs.items():
            problem = info.without_rows()
            if problem is not None:
                yield RULE.finding(
                    f"output {name!r} {problem}, so its rows are not the request's; return one row per input row, "
                    "with the batch as a free first axis",
                    signature.name,
                    name,
                )
