"""An input or output has a name that nobody chose.

Why: clients write these names. `output_0` says nothing, and becomes `output_1` when the order changes.

Bad: `return score` in an exported tf.function: the output is `output_0`.

Good: `return {"score": score}`, and `tf.TensorSpec(…, name="price")` for each argument.
"""

from __future__ import annotations

import re
from typing import Iterator

from signatures.export import Export
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG106",
    name="generated_name",
    severity="info",
    bad=(
        """
        input args_0 float32[?]
        output score float32[?] = args_0
        """,
        """
        input price float32[?]
        output output_0 float32[?] = price
        """,
    ),
    good=(
        """
        input price float32[?]
        output output_price float32[?] = price
        """,
    ),
)

_GENERATED = re.compile(r"((output|args|arg|inputs|input|unknown|keras_tensor)_\d+(_\d+)*|args?|Identity(_\d+)?|)")


def check(export: Export) -> Iterator[Finding]:
    """Finds names such as `args_0`, `input_1`, `output_0`."""
    for signature in export.inference():
        for kind, names in (("input", signature.inputs), ("output", signature.outputs)):
            for name in names:
                if _GENERATED.fullmatch(name):
                    cure = "return a dict of named tensors" if kind == "output" else "give its tf.TensorSpec a name"
                    yield RULE.finding(
                        f"{kind} {name!r} has a generated name that clients must write; {cure}", signature.name, name
                    )
