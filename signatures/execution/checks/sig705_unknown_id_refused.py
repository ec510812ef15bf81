"""An id that training has not seen makes the request fail.

Why: new users, new items and typing errors are daily business. One unknown id fails the whole batch, strangers
included. On a GPU the same gather reads zeros instead, so that servers disagree.

Bad: `tf.gather(embeddings, user_id)` with raw ids; a table whose missing value is -1 in front of a gather.

Good: a row for the unknown: a look-up table with an out-of-vocabulary bucket, or a hash.
"""

from __future__ import annotations

from typing import Iterator, List, Optional, Tuple

import numpy as np

from signatures.execution.probe import Probe, Refused
from signatures.execution.recipe import Input
from signatures.execution.requests import filled
from signatures.findings import Finding, Rule, Severity

RULE = Rule(
    code="SIG705",
    name="unknown_id_refused",
    severity="error",
    bad=(
        """
        input user_id int64[?] categorical
        output score float32[?] = gather(20, user_id)
        """,
        """
        input user_id int64[?]
        output score float32[?] = gather(20, maximum(user_id, 0))
        """,
        """
        input city string[?] categorical
        output score float32[?] = gather(20, where(isin(city, [b'apple', b'pear', b'plum']), 3, -1))
        """,
    ),
    good=(
        """
        input user_id int64[?] categorical
        input city string[?] categorical
        output score float32[?] = gather(20, where((user_id >= 0) & (user_id < 19), user_id, 19)) + (city == b'apple')
        """,
        """
        input count int64[?]
        output score float32[?] = refuse('assertion failed: [count out of range]') if min(count) < 0 else count
        """,
    ),
)

_INDEX_ERRORS = ("is not in [0,", "out of range", "out of bounds", "indices")


def check(probe: Probe) -> Iterator[Finding]:
    """Writes ids that no vocabulary has into one input after the other."""
    for name, info in probe.inputs.items():
        told = _refused(probe, info) if info.is_id else None
        if told is None:
            continue
        value, refused = told
        known = info.role == "feature"
        severity: Severity = RULE.severity if known else "warning"
        yield RULE.finding(
            f"a request whose {name!r} is {_text(value)} fails ({refused.message}); "
            "give unknown ids a row of their own, with a look-up table or a hash",
            probe.signature.name,
            name,
            severity,
        )


def _refused(probe: Probe, info: Input) -> Optional[Tuple[object, Refused]]:
    """The first unknown id that the model refuses."""
    cells = probe.request[info.name]
    for value in unknown(cells, known=info.role == "feature"):
        try:
            probe.call({**probe.request, info.name: _written(cells, value)})
        except Refused as refused:
            # what the model itself validates it may refuse; and an integer of unknown meaning may be no id at all
            if not refused.deliberate and (info.role == "feature" or any(w in refused.message for w in _INDEX_ERRORS)):
                return value, refused
    return None


def unknown(cells: np.ndarray, known: bool) -> List[object]:
    """Ids that are in no vocabulary. known: these are ids, so that a huge one is no huge size of anything."""
    if cells.dtype == object:
        return [b"", b"signet: unknown", "\N{SNOWMAN}".encode(), b"\xff"]
    limits = np.iinfo(cells.dtype)
    huge = int(limits.max) if known else min(int(limits.max), 10_000_019)
    return [huge, max(-1, int(limits.min))]


def _text(value: object) -> str:
    return repr(value.decode("utf-8", "backslashreplace")) if isinstance(value, bytes) else str(value)


def _written(cells: np.ndarray, value: object) -> np.ndarray:
    """The value in every other row: the others stay as the model knows them."""
    every = filled(cells, value)
    if cells.ndim == 0 or len(cells) < 2:
        return every
    made = cells.copy()
    made[::2] = every[::2]
    return made
