"""A signature is called by another method.

Why: predict, classify and regress are different calls with different requests and answers.

Client: its call is refused: the server compares the signature's method with the call.

Server: it loads, and refuses.

Bad: `tensorflow/serving/classify` in version 1, `tensorflow/serving/predict` in version 2.

Good: both methods, as two signatures, until nobody uses the old one.
"""

from __future__ import annotations

from typing import Iterator

from signatures.changes.versions import Versions
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG507",
    name="changed_method",
    severity="error",
    bad=(
        """
        input examples string[?]
        output scores float32[?] = examples
        method tensorflow/serving/classify
        ---
        input examples string[?]
        output scores float32[?] = examples
        """,
    ),
    good=(
        """
        input examples string[?]
        output scores float32[?] = examples
        ---
        input examples string[?]
        output scores float32[?] = examples
        """,
    ),
)


def check(versions: Versions) -> Iterator[Finding]:
    """Finds signatures with another method."""
    for pair in versions.pairs():
        if pair.old.method != pair.new.method:
            yield RULE.finding(
                f"its method was {pair.old.method!r} and is {pair.new.method!r}, so that the old calls are refused; "
                "keep the method",
                pair.name,
                None,
            )
