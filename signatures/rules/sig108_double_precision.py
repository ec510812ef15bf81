"""An input or output is float64.

Why: it doubles the bytes of every request and answer, slows the graph down, and hides that the model was trained in
float32: two servers then disagree in digits that never meant anything.

Bad: numpy's default dtype, carried into an input signature.

Good: float32 throughout.
"""

from __future__ import annotations

from typing import Iterator

from signatures.export import Export
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG108",
    name="double_precision",
    severity="warning",
    bad=(
        """
        input price float64[?]
        output score float32[?]
        score = Cast price
        """,
        """
        input price float32[?]
        output score float64[?]
        score = Cast price
        """,
    ),
    good=(
        """
        input price float32[?]
        output score float32[?]
        double = Cast price
        score = Cast double
        """,
    ),
)


def check(export: Export) -> Iterator[Finding]:
    """Finds float64 at either end of a signature."""
    for signature in export.inference():
        for kind, tensors in (("input", signature.inputs), ("output", signature.outputs)):
            for name, info in tensors.items():
                if info.dtype == "float64":
                    yield RULE.finding(f"{kind} {name!r} is float64; cast it to float32", signature.name, name)
