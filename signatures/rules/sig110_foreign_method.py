"""A signature has a method name that no API of a server answers.

Why: Predict, Classify and Regress each look for their own method name. A signature of a training or evaluation graph
has another, and one that claims to classify without strings `inputs` and outputs `classes` or `scores` is refused too.

Bad: `method_name="tensorflow/supervised/training"`, or an empty one.

Good: `tensorflow/serving/predict`, which TensorFlow 2 writes by itself.
"""

from __future__ import annotations

from typing import Iterator, Optional

from signatures.export import Export
from signatures.findings import Finding, Rule
from signatures.saved_model import Signature

RULE = Rule(
    code="SIG110",
    name="foreign_method",
    severity="error",
    bad=(
        """
        method tensorflow/supervised/eval
        input price float32[?]
        output score float32[?] = price
        """,
        """
        method tensorflow/serving/classify
        input price float32[?]
        output scores float32[?] = price
        """,
        """
        method tensorflow/serving/regress
        input inputs string[?]
        output score float32[?]
        score = ParseExample inputs
        """,
    ),
    good=(
        """
        input price float32[?]
        output score float32[?] = price
        """,
        """
        method tensorflow/serving/classify
        input inputs string[?]
        output scores float32[?,2]
        scores = ParseExample inputs
        """,
    ),
)

_PREFIX = "tensorflow/serving/"
_CONTRACTS = {"classify": ("classes", "scores"), "regress": ("outputs",)}
"""Method -> the outputs of which it needs one; both take serialized examples as `inputs`."""


def check(export: Export) -> Iterator[Finding]:
    """Finds methods that are none of the three, and signatures that break the contract of theirs."""
    for signature in export.inference():
        problem = _problem(signature)
        if problem is not None:
            yield RULE.finding(problem, signature.name, None)


def _problem(signature: Signature) -> Optional[str]:
    method = signature.method[len(_PREFIX) :] if signature.method.startswith(_PREFIX) else ""
    if method not in ("predict", *_CONTRACTS):
        return (
            f"the method of signature {signature.name!r} is {signature.method!r}, which no API of a server calls; "
            f"give it the method '{_PREFIX}predict'"
        )
    if method == "predict":
        return None
    inputs = {name: info.dtype for name, info in signature.inputs.items()}
    outputs = _CONTRACTS[method]
    if inputs == {"inputs": "string"} and any(name in signature.outputs for name in outputs):
        return None
    return (
        f"signature {signature.name!r} is to {method}, which needs the one input 'inputs' of serialized examples and "
        f"the output {' or '.join(map(repr, outputs))}; name them so, or give it the method '{_PREFIX}predict'"
    )
