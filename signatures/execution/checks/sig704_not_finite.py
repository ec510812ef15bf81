"""An answer is NaN or infinite, for a request that is empty, missing its cells, or extreme.

Why: NaN sorts anywhere and is not JSON. It comes from a user without a history, a price of 0, a missing number.

Bad: `log(price)`, a mean over `history_length` cells without `divide_no_nan`, `log(1 + exp(x))`.

Good: `log1p`, `divide_no_nan`, `softplus`, clipped features, and a value of its own for what is missing.
"""

from __future__ import annotations

from typing import Callable, Dict, Iterator, List, Optional, Tuple

import numpy as np

from signatures.execution import comparison
from signatures.execution.probe import Probe, Refused
from signatures.execution.recipe import Request
from signatures.execution.requests import extremes, filled, zero
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG704",
    name="not_finite",
    severity="warning",
    bad=(
        """
        input price float32[?]
        output score float32[?] = log(price)
        """,
        """
        input history float32[?,?]
        input history_length int64[?]
        output score float32[?] = where(cells(history) < history_length[:, None], history, 0).sum(1) / history_length
        """,
        """
        input price float32[?]
        output score float32[?] = log(1 + exp(price))
        """,
        """
        input price float32[?]
        input history_length int64[?]
        input history float32[?,?]
        output score float32[?] = where(price > 0, 1 / history_length, 0)
        """,
        """
        input price float32[?] numeric
        output score float32[?] = price
        """,
    ),
    good=(
        """
        input price float32[?]
        input clicks int64[?]
        output score float32[?] = tanh(price) / maximum(clicks, 1)
        """,
        """
        input price float32[?] numeric
        output score float32[?] = nan_to_num(price)
        """,
    ),
)

Change = Callable[[Probe, str, np.ndarray], Optional[np.ndarray]]


def _empty(probe: Probe, name: str, cells: np.ndarray) -> Optional[np.ndarray]:
    return zero(cells)


def _no_lists(probe: Probe, name: str, cells: np.ndarray) -> Optional[np.ndarray]:
    return zero(cells) if probe.inputs[name].role == "length" else None


def _missing(probe: Probe, name: str, cells: np.ndarray) -> Optional[np.ndarray]:
    return filled(cells, np.nan) if probe.inputs[name].kind == "numeric" and cells.dtype.kind == "f" else None


def _large(probe: Probe, name: str, cells: np.ndarray) -> Optional[np.ndarray]:
    return extremes(cells)[0] if cells.dtype.kind == "f" else None


def _negative(probe: Probe, name: str, cells: np.ndarray) -> Optional[np.ndarray]:
    return extremes(cells)[1] if cells.dtype.kind == "f" else None


CHANGES: Dict[str, Change] = {
    "when everything is zero or empty": _empty,
    "when lists are empty": _no_lists,
    "when numbers are missing": _missing,
    "when numbers are large": _large,
    "when numbers are large and negative": _negative,
}


def check(probe: Probe) -> Iterator[Finding]:
    """Asks what no training row holds. Of several requests that fail, the first is told for each output."""
    told = dict.fromkeys(_broken(probe, probe.request), "for an ordinary request")
    for when, change in CHANGES.items():
        changed = _changed(probe, change)
        if not changed:
            continue
        for name in _broken(probe, {**probe.request, **changed}):
            if name not in told:
                told[name] = when + _culprit(probe, name, changed)
    for name, when in told.items():
        yield RULE.finding(
            f"output {name!r} is NaN or infinite {when}; clip the input, divide with divide_no_nan, "
            "and give a missing value a number of its own",
            probe.signature.name,
            name,
        )


def _changed(probe: Probe, change: Change) -> Request:
    made: List[Tuple[str, Optional[np.ndarray]]] = [
        (name, change(probe, name, cells)) for name, cells in probe.request.items()
    ]
    return {name: cells for name, cells in made if cells is not None}


def _broken(probe: Probe, request: Request) -> List[str]:
    """Outputs that are not finite. A model that refuses a request has answered nothing wrong."""
    try:
        answers = probe.call(request)
    except Refused:
        return []
    retrieves = probe.declared is not None and probe.declared.kind == "retrieve"
    # places of a retrieval that nothing is left for may hold the lowest score there is
    return [name for name, cells in answers.items() if not comparison.finite(_scores(cells) if retrieves else cells)]


def _scores(cells: np.ndarray) -> np.ndarray:
    return np.where(np.isneginf(cells), 0, cells) if cells.dtype.kind == "f" else cells


def _culprit(probe: Probe, output: str, changed: Request) -> str:
    """The one input whose change suffices, as the end of a clause."""
    for name, cells in changed.items():
        if output in _broken(probe, {**probe.request, name: cells}):
            return f", through input {name!r}"
    return ""
