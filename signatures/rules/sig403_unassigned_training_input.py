"""In a training graph, an output depends on something that is no declared input.

Why: the proof that predictions are pure covers what it can see. A placeholder outside the signature can be anything.

Bad: a `keep_prob` or `y_true` placeholder that the signature of the training graph does not list.

Good: everything comes in as `features/…`, `labels/…`, `masks/…` or `sample_weights/…`.
"""

from __future__ import annotations

from typing import Iterator

from signatures.export import Export
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG403",
    name="unassigned_training_input",
    severity="error",
    bad=(
        """
        input features/price float32[?]
        input labels/click float32[?]
        output loss float32[]
        output predictions/click float32[?] = features/price
        weight = Placeholder
        error = Sub features/price labels/click
        loss = Mul error weight
        """,
    ),
    good=(
        """
        input features/price float32[?]
        input labels/click float32[?]
        output loss float32[]
        output predictions/click float32[?] = features/price
        weight = Const
        error = Sub features/price labels/click
        loss = Mul error weight
        unused = Placeholder
        """,
    ),
)


def check(export: Export) -> Iterator[Finding]:
    """Finds placeholders without a role behind the outputs of training graphs."""
    for signature in export.training():
        for output, origins in export.trace(signature.name).influences.items():
            for origin in sorted(each for each in origins if each.kind == "placeholder"):
                yield RULE.finding(
                    f"{output!r} depends on placeholder {origin.name!r}, which is no input of the training graph; "
                    "declare it as a feature, label, mask or weight",
                    signature.name,
                    origin.name,
                )
