"""An input is computed with, and yet no value of it changes any output.

Why: clients must send it for nothing, and what looks like a feature is none. A mask that is multiplied by 0, or a label
that is subtracted again, is a trace of training that was not taken out but cancelled.

Bad: `score + 0 * label`, `score * ones_like(x) ** y`, a branch that never runs.

Good: what is not needed is no input of the exported function.
"""

from __future__ import annotations

from typing import Iterator, List

import numpy as np

from signatures.declaration import NOT_FOR_SERVING
from signatures.execution.probe import Answers, Probe
from signatures.execution.recipe import Input, Request
from signatures.execution.requests import PARTS, make, others
from signatures.findings import Finding, Rule, Severity

RULE = Rule(
    code="SIG707",
    name="dead_value",
    severity="warning",
    bad=(
        """
        input price float32[?]
        input label float32[?]
        output score float32[?] = price + 0 * label
        """,
        """
        input price float32[?]
        input stock int64[?]
        output score float32[?] = price + stock - stock
        """,
        """
        input price float32[?]
        input city string[?]
        output score float32[?] = price if len(price) < 100 else price * (city == b'apple')
        """,
    ),
    good=(
        """
        input price float32[?]
        input position int64[?]
        input city string[?]
        input open bool[?]
        output score float32[?] = maximum(price - 50, 0) + 1e-3 * position + (city == b'apple') + open
        """,
        """
        input price float32[?]
        input exclude int64[?] request
        output score float32[?] = price + 0 * exclude
        """,
        """
        input history int64[?,?]
        input history_length int64[?]
        output score float32[?] = where(cells(history) < history_length[:, None], history, 0).sum(1)
        """,
    ),
)

DRAWS = 3
"""Requests, the ordinary one included, in which each input is varied."""


def check(probe: Probe) -> Iterator[Finding]:
    """Varies one input at a time. Those that reach no output even in the graph are SIG104's."""
    requests = list(_requests(probe))
    for name in sorted(probe.reaching):
        info = probe.inputs[name]
        if info.dtype == "string" and probe.recipe.guessed:
            continue  # the model may know none of the texts that were tried
        if info.role in ("request", *PARTS) or not _dead(probe, info, requests):
            continue
        training = probe.roles.get(name) in NOT_FOR_SERVING
        severity: Severity = "error" if training else RULE.severity
        yield RULE.finding(
            f"no value of input {name!r} that was tried changes an output, although the graph computes with it; "
            "take it out of the exported function",
            probe.signature.name,
            name,
            severity,
        )


def _requests(probe: Probe) -> Iterator[Request]:
    yield probe.request
    for seed in range(1, DRAWS):
        made = make(probe.inputs, probe.recipe, seed)
        if made is not None and probe.answered(made) is not None:
            yield made


def _dead(probe: Probe, info: Input, requests: List[Request]) -> bool:
    """True when the input was varied, with answers, and nothing came of it."""
    varied = False
    for request in requests:
        before = probe.call(request)
        for cells in others(request[info.name], probe.recipe):
            answers = probe.answered({**request, info.name: cells})
            varied = varied or answers is not None
            if answers is not None and _differ(before, answers):
                return False
    return varied


def _differ(before: Answers, after: Answers) -> bool:
    return any(not _same(cells, after[name]) for name, cells in before.items())


def _same(left: np.ndarray, right: np.ndarray) -> bool:
    """To the last bit: however little comes of it, the input counts."""
    return bool(np.array_equal(left, right, equal_nan=left.dtype.kind in "fc" and right.dtype.kind in "fc"))
