"""In a training graph, the loss does not depend on a declared label, mask or sample weight.

Why: it is read from every row and ignored, so rows that should not count do, or a task does not learn.

Bad: `loss = mean(cross_entropy)` with a mask that is never multiplied in.

Good: `loss = sum(w · m · l) / max(sum(w · m), 1)` over each declared label l, mask m and weight w.
"""

from __future__ import annotations

from typing import Iterator

from signatures.declaration import TRAINING_PREFIXES
from signatures.export import Export
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG402",
    name="inert_training_input",
    severity="error",
    bad=(
        """
        input features/price float32[?]
        input labels/click float32[?]
        input sample_weights/click float32[?]
        output loss float32[]
        output predictions/click float32[?] = features/price
        loss = Sub features/price labels/click
        """,
        """
        input features/price float32[?]
        input labels/click float32[?]
        input masks/click float32[?]
        output loss float32[] = weighted
        output predictions/click float32[?] = features/price
        ones = OnesLike masks/click
        error = Sub features/price labels/click
        weighted = Mul error ones
        """,
    ),
    good=(
        """
        input features/price float32[?]
        input labels/click float32[?]
        input sample_weights/click float32[?]
        output loss float32[]
        output predictions/click float32[?] = features/price
        error = Sub features/price labels/click
        loss = Mul error sample_weights/click
        """,
    ),
)


def check(export: Export) -> Iterator[Finding]:
    """Finds labels, masks and weights of training graphs that cannot change the loss."""
    for signature in export.training():
        reached = export.trace(signature.name).inputs("loss")
        for name in signature.inputs:
            if name.startswith(TRAINING_PREFIXES) and name not in reached:
                yield RULE.finding(
                    f"'loss' does not depend on {name!r}, although it is declared; "
                    "use it in the loss, or take it out of the schema",
                    signature.name,
                    name,
                )
