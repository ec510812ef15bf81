"""In a training graph, an output depends on something that is no declared input.

Why: the proof that predictions are pure covers what it can see. A placeholder outside the signature can be anything,
and so can an input that does not say whether it is a feature.

Bad: a `keep_prob` or `y_true` placeholder that the signature of the training graph does not list; an input `weight`.

Good: everything comes in as `features/…`, `labels/…`, `masks/…` or `sample_weights/…`.
"""

from __future__ import annotations

from typing import Iterator

from signatures.declaration import FEATURE_PREFIX, TRAINING_PREFIXES
from signatures.export import Export
from signatures.findings import Finding, Rule

ROLES = (FEATURE_PREFIX, *TRAINING_PREFIXES)

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
        """
        input features/price float32[?]
        input labels/click float32[?]
        input weight float32[?]
        output loss float32[]
        output predictions/click float32[?] = features/price
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
    """Finds placeholders, and inputs, without a role behind the outputs of training graphs."""
    for signature in export.training():
        for output, origins in export.trace(signature.name).influences.items():
            for origin in sorted(origins):
                if origin.kind == "placeholder":
                    what = f"placeholder {origin.name!r}, which is no input of the training graph"
                elif origin.kind == "input" and not origin.name.startswith(ROLES):
                    where = export.where(signature, output, origin.name)
                    what = f"input {origin.name!r}{where}, whose name does not say what it is"
                else:
                    continue
                yield RULE.finding(
                    f"{output!r} depends on {what}; declare it as a feature, label, mask or weight",
                    signature.name,
                    origin.name,
                )
