"""In a training graph, a prediction depends on a label, a mask or a sample weight.

Why: the model has learnt to look at what it must predict. Metrics are splendid, and serving has nothing to give it.

Bad: `predictions/like` computed from `features/…` and `masks/like`.

Good: masks and weights meet the losses, after the model; predictions come from features alone.
"""

from __future__ import annotations

from typing import Iterator

from signatures.declaration import TRAINING_PREFIXES
from signatures.export import Export
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG401",
    name="impure_prediction",
    severity="error",
    bad=(
        """
        input features/price float32[?]
        input labels/click float32[?]
        input masks/click bool[?]
        output loss float32[]
        output predictions/click float32[?] = logits
        logits = Mul features/price masks/click
        loss = SelectV2 masks/click labels/click logits
        """,
        """
        input features/price float32[?]
        input labels/click float32[?]
        output loss float32[]
        output predictions/click float32[?] = read
        state = VarHandleOp
        write = AssignVariableOp state labels/click
        read = ReadVariableOp state ^write
        loss = Sub labels/click features/price
        """,
    ),
    good=(
        """
        input features/price float32[?]
        input labels/click float32[?]
        input masks/click bool[?]
        output loss float32[]
        output predictions/click float32[?] = features/price
        loss = SelectV2 masks/click labels/click features/price
        """,
    ),
)


def check(export: Export) -> Iterator[Finding]:
    """Finds predictions of training graphs that a label, mask or weight can change."""
    for signature in export.training():
        trace = export.trace(signature.name)
        for output in signature.outputs:
            if output == "loss":
                continue
            for name in sorted(trace.inputs(output)):
                if not name.startswith(TRAINING_PREFIXES):
                    continue
                yield RULE.finding(
                    f"{output!r} depends on {name!r}{export.where(signature, output, name)}; "
                    "compute predictions from features alone, and use this in the loss",
                    signature.name,
                    name,
                )
