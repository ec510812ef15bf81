"""A signature needs a placeholder that is not one of its inputs.

Why: no request can fill it. The server answers "You must feed a value for placeholder tensor".

Bad: a TF1 graph exported with `keep_prob` or `y_true` left out of the signature's inputs.

Good: dropout is off in the exported graph, and labels are not in it.
"""

from __future__ import annotations

from typing import Iterator, List

from signatures.export import Export
from signatures.findings import Finding, Rule
from signatures.ops import PLACEHOLDERS
from signatures.saved_model import Place
from signatures.sources import Origin
from signatures.trace import Trace

RULE = Rule(
    code="SIG103",
    name="unfed_placeholder",
    severity="error",
    bad=(
        """
        input price float32[?]
        output score float32[?]
        keep_prob = Placeholder
        score = Mul price keep_prob
        """,
        """
        input price float32[?]
        output score float32[?]
        y_true = Placeholder
        score = Identity price ^y_true
        """,
        """
        input price float32[?]
        output score float32[?]
        half = Const
        keep_prob = PlaceholderWithDefault half
        score = Mul price keep_prob
        """,
    ),
    good=(
        """
        input price float32[?]
        input keep_prob float32[]
        output score float32[?]
        score = Mul price keep_prob
        y_true = Placeholder
        loss = Sub score y_true
        """,
    ),
)


def check(export: Export) -> Iterator[Finding]:
    """Finds placeholders that run and are not fed; one with a default is only a warning."""
    for signature in export.inference():
        trace = export.trace(signature.name)
        for place in trace.running:
            if place.node.op not in PLACEHOLDERS:
                continue
            reached = _reached(trace, place)
            which = f"output {', '.join(map(repr, reached))} depends" if reached else "the signature depends"
            if place.node.op == "PlaceholderWithDefault":
                if reached:
                    yield RULE.finding(
                        f"{which} on {place}, which always has its default here; export a graph without it",
                        signature.name,
                        place.node.name,
                        "warning",
                    )
                continue
            yield RULE.finding(
                f"{which} on {place}, which is no input, so every request fails; "
                "export the inference graph without it, or make it an input",
                signature.name,
                place.node.name,
            )


def _reached(trace: Trace, place: Place) -> List[str]:
    """The outputs that the placeholder's value changes."""
    origin = Origin("placeholder", place.node.name, place.graph)
    return [output for output, origins in trace.influences.items() if origin in origins]
