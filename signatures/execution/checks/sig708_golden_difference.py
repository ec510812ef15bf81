"""The model does not answer its golden requests as it did when it was exported.

Why: the file was damaged or mixed up, the variables are another model's, or this machine computes otherwise.

Bad: version 7 with the variables of version 6.

Good: what the export wrote into `golden/` comes back, to 1e-5.
"""

from __future__ import annotations

from typing import Iterator, Optional

import numpy as np

from signatures.execution import comparison
from signatures.execution.probe import Probe, Refused
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG708",
    name="golden_difference",
    severity="error",
    bad=(
        """
        input price float32[?]
        output score float32[?] = price * 2
        golden price = [1, 2] score = [2, 4.1]
        """,
        """
        input price float32[?]
        output score float32[?] = price * 2
        golden price = [1, 2] score = [2, 4, 6]
        """,
        """
        input price float32[?]
        output score float32[?] = refuse('no table') if max(price) > 9 else price
        golden price = [1, 10] score = [1, 10]
        """,
    ),
    good=(
        """
        input price float32[?]
        output score float32[?] = price * 2
        golden price = [1, 2] score = [2, 4.000001]
        """,
    ),
)


def unreadable(reason: str, signature: str) -> Finding:
    """The golden file is there and cannot be used; `reason` says what to do."""
    return RULE.finding(reason, signature, None)


def check(probe: Probe) -> Iterator[Finding]:
    """Asks the golden request again. What changes from call to call cannot agree with anything: that is SIG703."""
    if probe.golden is None:
        return
    try:
        answers = probe.call(dict(probe.golden.inputs))
    except Refused as refused:
        yield RULE.finding(
            f"the golden request is refused ({refused.message}); export the model again", probe.signature.name, None
        )
        return
    for name, cells in probe.steady(answers).items():
        expected = probe.golden.outputs.get(name)
        if expected is not None and probe.declared is not None and probe.declared.kind == "retrieve":
            # as wide as the largest k of the batch, which was larger when the golden rows were cut out of it
            expected = expected[:, : cells.shape[1]] if expected.ndim > 1 < cells.ndim else expected
        told = _difference(cells, expected)
        if told is not None:
            yield RULE.finding(
                f"output {name!r} {told}; export the model again, or find out which file was changed",
                probe.signature.name,
                name,
            )


def _difference(found: np.ndarray, expected: Optional[np.ndarray]) -> Optional[str]:
    if expected is None:
        return "is not among the golden answers"
    if found.shape != expected.shape:
        return f"has shape {list(found.shape)} and had {list(expected.shape)} in the golden answer"
    values = comparison.difference(found, expected)
    return None if values is None else "is {} and was {} in the golden answer".format(*map(comparison.show, values))
