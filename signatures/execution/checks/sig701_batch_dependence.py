"""A row is answered otherwise alone than in a batch.

Why: a server with batching merges the requests of strangers. Then a user's score depends on who else asks at that
moment, and no offline measurement can be repeated.

Bad: an in-batch softmax, `score - mean(score)`, BatchNormalization(training=True), `argsort` over the batch.

Good: everything of a row comes from that row and from variables. Candidates of one user share a row: [B, N].
"""

from __future__ import annotations

from typing import Dict, Iterator, List, Tuple

import numpy as np

from signatures.execution import comparison
from signatures.execution.probe import Answers, Probe, Refused
from signatures.findings import Finding, Rule, Severity

RULE = Rule(
    code="SIG701",
    name="batch_dependence",
    severity="error",
    bad=(
        """
        batchable
        input price float32[?]
        output score float32[?] = price - mean(price)
        """,
        """
        batchable
        input query float32[?,4]
        output score float32[?,?] = query @ query.T
        """,
        """
        input price float32[?]
        input ids int64[?]
        output score float32[?] = price / len(unique(ids))
        """,
    ),
    good=(
        """
        batchable
        input price float32[?,7]
        output score float32[?] = price.sum(1) / maximum(abs(price).max(1), 1)
        """,
        """
        alone
        input price float32[?]
        output score float32[?] = price - mean(price)
        """,
        """
        input k int64[?]
        input price float32[?]
        output best float32[?,?] = repeat(price[:, None], max(k), 1)
        """,
    ),
)

ROWS = 4
"""So many rows are asked again, alone."""


def check(probe: Probe) -> Iterator[Finding]:
    """Asks rows together and alone. Where the manifest says that rows belong together, nothing is wrong."""
    if probe.rows < 2 or (probe.declared is not None and not probe.declared.batchable):
        return
    together = probe.steady(probe.call(probe.request))
    # what has not a row for each row is SIG706's
    aligned = {name: cells for name, cells in together.items() if cells.shape[:1] == (probe.rows,)}
    told: Dict[str, str] = {}
    for row in range(min(ROWS, probe.rows)):
        try:
            alone = probe.call(probe.take(slice(row, row + 1)))
        except Refused as refused:
            # to refuse a row is not to answer it otherwise; but a row that is answered in company is no bad row
            told.update(dict.fromkeys(list(aligned)[:1], f"is refused alone ({refused.message})"))
            break
        for name, values in _changed(aligned, alone, row):
            company = f"in a batch of {probe.rows}{_through(probe, name, row)}"
            told.setdefault(name, f"is {values[0]} alone and {values[1]} {company}")
    severity: Severity = RULE.severity if probe.declared is not None else "warning"
    for name, what in told.items():
        yield RULE.finding(
            f"a row of output {name!r} {what}; compute it from its own row and from variables, "
            "or declare in the manifest that the signature is not batchable",
            probe.signature.name,
            name,
            severity,
        )


def _changed(together: Answers, alone: Answers, row: int) -> Iterator[Tuple[str, List[str]]]:
    for name, cells in together.items():
        if alone[name].ndim != cells.ndim or len(alone[name]) != 1:
            continue
        values = comparison.difference(*comparison.overlap(alone[name][0], cells[row]))
        if values is not None:
            yield name, [comparison.show(each) for each in values]


def _through(probe: Probe, output: str, row: int) -> str:
    """The input whose cells in other rows matter to this one, as the end of a clause."""
    before = probe.call(probe.request)[output]
    for name, cells in probe.request.items():
        if not probe.inputs[name].batched:
            continue
        changed = np.repeat(cells[row : row + 1], len(cells), axis=0)
        answer = probe.answered({**probe.request, name: changed})
        if answer is None or answer[output].shape[:1] != before.shape[:1]:
            continue
        if comparison.difference(*comparison.overlap(answer[output][row], before[row])) is not None:
            return f", through input {name!r} of other rows"
    return ""
