"""An output has not one row per row of the request.

Why: REST's row form splits outputs by rows, and batching merges requests of strangers and splits the outputs again:
both need the batch as the free first axis of every output.

Bad: an output of shape `[]`, `[1]` or of unknown rank.

Good: `[?]`, `[?, 10]`. A signature that the manifest declares as not batchable is not asked.
"""

from __future__ import annotations

from typing import Iterator, Optional

from signatures.export import Export
from signatures.findings import Finding, Rule
from signatures.saved_model import Shape

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
    for signature in export.inference():
        declared = export.declared(signature.name)
        if declared is not None and not declared.batchable:
            continue
        for name, info in signature.outputs.items():
            problem = _problem(info.shape)
            if problem is not None:
                yield RULE.finding(
                    f"output {name!r} {problem}, so its rows are not the request's; return one row per input row, "
                    "with the batch as a free first axis",
                    signature.name,
                    name,
                )


def _problem(shape: Shape) -> Optional[str]:
    if shape is None:
        return "has an unknown rank"
    if not shape:
        return "is a scalar"
    return None if shape[0] is None else f"always has {shape[0]} rows"
