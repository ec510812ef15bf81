"""A signature computes gradients.

Why: explanations by gradients are legitimate and cost two or three times a score. In any other signature they are what
is left of training.

Bad: the gradients of a loss in `serving_default`.

Good: scores alone; explanations in a signature of their own.
"""

from __future__ import annotations

import re
from typing import Iterator

from signatures.export import Export
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG211",
    name="gradient_op",
    severity="info",
    bad=(
        """
        input price float32[?]
        output score float32[?]
        up = Sigmoid price
        score = SigmoidGrad up price
        """,
        """
        input price float32[?]
        output score float32[?] = call
        call = PartitionedCall price f=@backward
        function backward(x) -> grads:output:0
          grads = SymbolicGradient x x f=@forward
        function forward(x) -> y:z:0
          y = Mul x x
        """,
    ),
    good=(
        """
        input price float32[?]
        output score float32[?]
        kept = StopGradient price
        guarded = PreventGradient kept
        score = Conv2DBackpropInput guarded guarded guarded
        unused = ReluGrad price price
        """,
    ),
)

# Transposed convolutions, Conv2DBackpropInput, run forwards.
_GRADIENT = re.compile(r"\w+Grad(WithArgmax)?(V\d|Grad\w*)?|SymbolicGradient|Conv\w*BackpropFilter\w*")


def check(export: Export) -> Iterator[Finding]:
    """Finds gradient ops behind an output; one finding for each signature."""
    for signature in export.inference():
        places = [each for each in export.trace(signature.name).live if _GRADIENT.fullmatch(each.node.op)]
        if places:
            more = f" and {len(places) - 1} more" if len(places) > 1 else ""
            yield RULE.finding(
                f"{places[0]}{more} computes gradients; keep them if they explain a score, else export scores alone",
                signature.name,
                places[0].node.name,
            )
