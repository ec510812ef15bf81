"""Cells beyond a list's length change the answer.

Why: a server pads lists to the longest of a batch, with the list's *first element* and not with 0. A mask made from
`id == 0` does not see that, and a user's score depends on how long the lists of others are.

Bad: `reduce_mean(embeddings, axis=1)`; a mask from `history != 0`; attention without a mask.

Good: a mask from the length input: `sequence_mask(history_length, shape(history)[1])`.
"""

from __future__ import annotations

from typing import Dict, Iterator, List, Optional

import numpy as np

from signatures.execution import comparison
from signatures.execution.probe import Probe, Refused
from signatures.execution.recipe import Request
from signatures.findings import Finding, Rule, Severity

RULE = Rule(
    code="SIG702",
    name="padding_dependence",
    severity="error",
    bad=(
        """
        input history int64[?,?] length history_length
        input history_length int64[?]
        output score float32[?] = mean(history, 1)
        """,
        """
        input history int64[?,?]
        input history_length int64[?]
        output score float32[?] = where(history != 0, history, 0).sum(1) + history_length
        """,
        """
        input genres float32[?,3,4] length genres_length
        input genres_length int64[?,3]
        output score float32[?,3] = genres.max(2) * (genres_length > 0)
        """,
        """
        input history int64[?,?] length history_length
        input history_length int64[?]
        output score float32[?] = where(history != history[:, :1], history, 0).sum(1) + history_length
        golden history = [[5, 0], [7, 0]] history_length = [1, 1] score = [1, 1]
        """,
    ),
    good=(
        """
        input history int64[?,?] length history_length
        input ratings float32[?,?] length history_length
        input history_length int64[?]
        output score float32[?] = where(cells(history) < history_length[:, None], history * ratings, 0).sum(1)
        """,
        """
        input history int64[?,?] length history_length
        input history_length int64[?]
        output scores float32[?,?] = history * 2
        """,
        """
        input title float32[?,8]
        input title_length int64[?,2]
        output score float32[?] = mean(title, 1)
        """,
    ),
)

FIRST, OTHER = "their first cell", "cells of another row"
"""What is written beyond a length: what a server pads with, and anything else."""
MORE = 3
"""Cells that are appended where the list's axis is free."""


def check(probe: Probe) -> Iterator[Finding]:
    """Writes into the cells beyond each length, appends some, and asks again."""
    for length in sorted({each.length for each in probe.inputs.values() if each.length is not None}):
        lists = [name for name, each in probe.inputs.items() if each.length == length]
        for output, told in _dependent(probe, length, lists).items():
            told_by_manifest = all(probe.inputs[name].role != "unknown" for name in lists)
            severity: Severity = RULE.severity if told_by_manifest else "warning"
            yield RULE.finding(
                f"cells of {', '.join(map(repr, lists))} beyond {length!r} change output {output!r}: {told}; "
                f"mask what lies beyond {length!r}, with a mask made from it and not from the cells",
                probe.signature.name,
                output,
                severity,
            )


def _dependent(probe: Probe, length: str, lists: List[str]) -> Dict[str, str]:
    """Output -> what it was and became."""
    request = shortened(probe, length, lists)
    if request is None:
        return {}
    axis = request[length].ndim
    expected = probe.steady(probe.call(request))
    changes = {f"filled with {what}": _overwritten(request, length, lists, what) for what in (FIRST, OTHER)}
    if all(_free(probe, name, axis) for name in lists):
        changes[f"padded with {MORE} more cells"] = _padded(request, lists, axis)
    width = request[lists[0]].shape[axis]
    beyond = np.arange(width) >= request[length][..., np.newaxis]
    found: Dict[str, str] = {}
    for what, changed in changes.items():
        try:
            answers = probe.call(changed)
        except Refused as refused:
            for output in list(expected)[: 1 if probe.declared is not None else 0]:
                found.setdefault(output, f"refused, {what} ({refused.message})")
            continue
        for output, cells in expected.items():
            told = _difference(answers[output], cells, beyond)
            if told is not None:
                found.setdefault(output, f"{told}, {what}")
    return found


def shortened(probe: Probe, length: str, lists: List[str]) -> Optional[Request]:
    """The request with lists that leave cells unused; None where they have none, or the model refuses them."""
    request = probe.request
    axis = request[length].ndim
    if any(request[name].ndim <= axis for name in lists):
        return None
    widths = {request[name].shape[axis] for name in lists}
    if len(widths) != 1 or widths == {0}:
        return None
    width = widths.pop()
    lengths = np.minimum(request[length], width)
    halved = np.where(np.arange(lengths.size).reshape(lengths.shape) % 2 == 0, (lengths + 1) // 2, lengths)
    request[length] = halved.astype(lengths.dtype)
    return request if probe.answered(request) is not None else None


def _free(probe: Probe, name: str, axis: int) -> bool:
    shape = probe.inputs[name].shape
    return shape is None or shape[axis] is None


def _overwritten(request: Request, length: str, lists: List[str], what: str) -> Request:
    """Other cells beyond the length: copies of one cell, and where that may be what is there already, not 0."""
    changed = dict(request)
    axis = request[length].ndim
    for name in lists:
        cells = request[name]
        beyond = np.arange(cells.shape[axis]) >= request[length][..., np.newaxis]
        source = cells if what == FIRST else np.flip(np.roll(cells, 1, axis=0), axis=axis)
        first = np.take(source, [0], axis=axis)
        if what == OTHER and cells.dtype.kind in "iuf":
            first = np.where(first == 0, np.asarray(1, cells.dtype), first)  # 0 may be what is there already
        mask = beyond.reshape(*beyond.shape, *(1,) * (cells.ndim - beyond.ndim))
        changed[name] = np.where(mask, first, cells).astype(cells.dtype)
    return changed


def _padded(request: Request, lists: List[str], axis: int) -> Request:
    changed = dict(request)
    for name in lists:
        first = np.take(request[name], [0], axis=axis)
        changed[name] = np.concatenate([request[name], np.repeat(first, MORE, axis=axis)], axis=axis)
    return changed


def _difference(found: np.ndarray, expected: np.ndarray, beyond: np.ndarray) -> Optional[str]:
    """What differs; of an output that answers cell by cell, only what belongs to valid cells counts."""
    cellwise = expected.shape[: beyond.ndim] == beyond.shape
    if found.shape != expected.shape and not cellwise:
        return None
    found, expected = comparison.overlap(found, expected)
    if cellwise and expected.shape[: beyond.ndim] == beyond.shape:
        found, expected = found[~beyond], expected[~beyond]
    values = comparison.difference(found, expected)
    return None if values is None else f"{comparison.show(values[1])} became {comparison.show(values[0])}"
