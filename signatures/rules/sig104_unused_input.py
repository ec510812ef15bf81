"""An input reaches no output.

Why: TensorFlow Serving refuses a request that lacks an input, used or not, so every client sends it for ever. A label
among the inputs does no harm to the scores, and still no client has it.

Bad: `def serve(price, label): return price * 2`, exported with both in its input signature.

Good: the signature takes what its outputs are computed from. (Its shape alone is no use of an input.)
"""

from __future__ import annotations

from typing import Iterator

from signatures.declaration import NOT_FOR_SERVING
from signatures.export import Export
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG104",
    name="unused_input",
    severity="warning",
    bad=(
        """
        input price float32[?]
        input colour int64[?]
        output score float32[?]
        score = AddV2 price price
        """,
        """
        input price float32[?]
        input label float32[?]
        output score float32[?] = call:1
        call = PartitionedCall price label f=@both
        function both(x, y) -> doubled:z:0, x
          doubled = AddV2 y y
        """,
        """
        input examples string[?]
        output score float32[?] = parse
        names = Const value=
        dense_keys = Const value='price','label'
        none = Const value=
        parse = ParseExampleV2 examples names none dense_keys none none none
        """,
    ),
    good=(
        """
        input examples string[?]
        output score float32[?] = parse
        names = Const value=
        dense_keys = Const value='price','label'
        none = Const value=
        ones = Const value=1
        parse = ParseExampleV2 examples names none dense_keys none none ones
        """,
        """
        input price float32[?]
        input colour int64[?]
        output score float32[?] = price
        output echo int64[?] = colour
        """,
    ),
)


def check(export: Export) -> Iterator[Finding]:
    """Finds inputs whose value no output depends on; an error when the input is not even a feature."""
    for signature in export.inference():
        for name, called, origin, required in export.given(signature):
            if not required or export.reached(signature, origin):
                continue
            foreign = export.role(signature, name) in NOT_FOR_SERVING
            kind = "is no feature, and " if foreign else ""
            yield RULE.finding(
                f"{called} {kind}changes no output, yet every client must send it; remove it from the signature",
                signature.name,
                name,
                "error" if foreign else "warning",
            )
