"""No input changes an output.

Why: every request gets the same answer. The head was exported without the features, or a variable in place of a score.

Bad: `return {"score": self.bias}`; a score that is made of the shape of an input only.

Good: every output comes from the inputs. One string beside them, such as a model's version, is for information; so is a
signature without inputs, which is made to be asked for something fixed.
"""

from __future__ import annotations

from typing import Iterator

from signatures.export import Export
from signatures.findings import Finding, Rule, Severity
from signatures.saved_model import Signature

RULE = Rule(
    code="SIG113",
    name="constant_output",
    severity="error",
    bad=(
        """
        input price float32[?]
        output score float32[?]
        score = OnesLike price
        """,
        """
        input price float32[?]
        output score float32[?] = price
        output version string[] = version
        version = Const
        """,
        """
        input price float32[?]
        output score float32[?] = price
        output other float32[?] = call:1
        call = PartitionedCall price f=@both
        function both(x) -> x, bias:value:0
          bias = ReadVariableOp handle
          handle = VarHandleOp
        """,
    ),
    good=(
        """
        input price float32[?]
        output score float32[?]
        zero = ZerosLike price
        score = Mul price zero
        """,
        """
        input price float32[?]
        output score float32[?]
        unfed = Placeholder
        score = Neg unfed
        """,
        """
        input price float32[?]
        output score float32[?] = branch
        branch = StatelessIf price then_branch=@high else_branch=@low
        function high() -> one:output:0
          one = Const
        function low() -> zero:output:0
          zero = Const
        """,
    ),
)

_CLASSES = ("tensorflow/serving/classify", "classes")
"""The names of the classes, the same for every row; the scores are beside them."""


def check(export: Export) -> Iterator[Finding]:
    """Finds outputs that are the same for every request: an error where all of them are."""
    for signature in export.inference():
        trace = export.trace(signature.name)
        fixed = [
            name
            for name, origins in trace.influences.items()
            if not any(origin.kind in ("input", "parsed", "placeholder") for origin in origins)
            and (signature.method, name) != _CLASSES
        ]
        for name in fixed:
            yield RULE.finding(
                f"no input changes output {name!r}, so every request gets the same answer; "
                "compute it from the features, or take it out of the signature",
                signature.name,
                name,
                _severity(signature, name, len(fixed)),
            )


def _severity(signature: Signature, name: str, fixed: int) -> Severity:
    if not signature.inputs:
        return "info"
    if fixed == len(signature.outputs):
        return "error"
    return "info" if signature.outputs[name].dtype == "string" else "warning"
