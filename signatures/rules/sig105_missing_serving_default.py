"""There is no signature named `serving_default`.

Why: it is the one that a server runs when a request names none, and `saved_model_cli`, warm-up and clients assume it.

Bad: `tf.saved_model.save(model, path, signatures={"score": model.score})`.

Good: the same with `"serving_default": model.score`, beside any others.
"""

from __future__ import annotations

from typing import Iterator

from signatures.export import Export
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG105",
    name="missing_serving_default",
    severity="warning",
    bad=(
        """
        signature rank
        input price float32[?]
        output score float32[?] = price
        """,
        "node = NoOp",
    ),
    good=(
        """
        input price float32[?]
        output score float32[?] = price
        """,
    ),
)


def check(export: Export) -> Iterator[Finding]:
    """Finds a model that has other signatures (a warning) or none at all (an error)."""
    names = [signature.name for signature in export.inference()]
    if "serving_default" in names or any(export.training()):
        return
    if names:
        yield RULE.finding(
            f"there is no signature 'serving_default', only {', '.join(sorted(names))}; "
            "export one under that name too, or every request must name its signature",
            None,
            None,
        )
    else:
        yield RULE.finding(
            "there is no signature, so nothing can be asked; save the model with a signature serving_default",
            None,
            None,
            "error",
        )
