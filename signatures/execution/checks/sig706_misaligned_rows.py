"""A request of B rows gets an answer that has not B rows.

Why: whoever asked cannot tell which score belongs to which row, and a server with batching fails when it splits the
answer among those who asked.

Bad: `boolean_mask(scores, price > 0)`, `unique(ids)`, `squeeze(scores)` without an axis, a mean over the batch.

Good: one row of the answer for each row of the request; what does not apply gets a value that says so.
"""

from __future__ import annotations

from typing import Dict, Iterator, Tuple

import numpy as np

from signatures.execution.probe import Probe
from signatures.execution.recipe import Request
from signatures.execution.requests import zero
from signatures.findings import Finding, Rule, Severity

RULE = Rule(
    code="SIG706",
    name="misaligned_rows",
    severity="error",
    bad=(
        """
        batchable
        input price float32[?]
        output score float32[?] = price[price > 0]
        """,
        """
        input price float32[?]
        output prices float32[?] = unique(price) if max(price) > 0 else price
        """,
        """
        batchable
        input price float32[?,1]
        output score float32[?] = squeeze(price)
        """,
    ),
    good=(
        """
        input price float32[?]
        output score float32[?] = where(price > 0, price, 0)
        output version string[] = array(b'7', object)
        """,
    ),
)


def check(probe: Probe) -> Iterator[Finding]:
    """Counts rows of several answers. Outputs whose declared shape has no free batch are SIG107's."""
    if not probe.rows or (probe.declared is not None and not probe.declared.batchable):
        return
    told: Dict[str, Tuple[int, Tuple[int, ...]]] = {}
    for request in _requests(probe):
        rows = len(next(cells for name, cells in request.items() if probe.inputs[name].batched))
        for name, cells in (probe.answered(request) or {}).items():
            if _free(probe, name) and cells.shape[:1] != (rows,):
                told.setdefault(name, (rows, cells.shape))
    severity: Severity = RULE.severity if probe.declared is not None else "warning"
    for name, (rows, shape) in told.items():
        yield RULE.finding(
            f"output {name!r} has shape {list(shape)} for a request of {rows} row{'s' if rows > 1 else ''}; "
            "answer one row for each row, in their order",
            probe.signature.name,
            name,
            severity,
        )


def _free(probe: Probe, output: str) -> bool:
    info = probe.signature.outputs[output]
    return len(info.tensors) == 1 and (info.shape is None or (len(info.shape) > 0 and info.shape[0] is None))


def _requests(probe: Probe) -> Iterator[Request]:
    """As it is, one row, the same row twice, and nothing but zeros."""
    yield probe.request
    yield probe.take(slice(0, 1))
    yield probe.take(np.zeros(2, int))
    yield {name: zero(cells) for name, cells in probe.request.items()}
