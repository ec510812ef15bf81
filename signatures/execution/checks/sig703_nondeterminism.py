"""The same request is answered otherwise when it is repeated.

Why: nobody can reproduce what a user saw, a retry changes the order, and an A/B test measures noise.

Bad: dropout or sampling that is live, a counter that is added to the score, the wall clock as a feature.

Good: the answer follows from the request and from variables that no request writes.
"""

from __future__ import annotations

from typing import Iterator

from signatures.execution import comparison
from signatures.execution.probe import Probe
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG703",
    name="nondeterminism",
    severity="error",
    bad=(
        """
        input price float32[?]
        output score float32[?] = price + calls
        """,
        """
        input price float32[?]
        output score float32[?] = price * (calls % 2)
        output other float32[?] = price
        """,
    ),
    good=(
        """
        input price float32[?]
        output score float32[?] = log(price)
        """,
    ),
)


def refuses(signature: str, message: str) -> Finding:
    """The model has refused what it had answered before."""
    return RULE.finding(
        f"a request that was answered is refused when it is repeated ({message}); take out what keeps count",
        signature,
        None,
    )


def check(probe: Probe) -> Iterator[Finding]:
    """Asks the same thing several times."""
    answers = probe.call(probe.request)
    steady = probe.steady(answers)
    again = probe.call(probe.request)
    for name, cells in answers.items():
        if name in steady:
            continue
        values = comparison.difference(*comparison.overlap(again[name], cells))
        became = f": {comparison.show(values[1])} became {comparison.show(values[0])}" if values is not None else ""
        yield RULE.finding(
            f"output {name!r} changes from call to call of the same request{became}; "
            "take out what is random, what keeps count, and the clock",
            probe.signature.name,
            name,
        )
