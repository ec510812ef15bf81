"""An input or output has another shape.

Why: what an input allowed, clients send; what an output promised, they read.

Client: a wider input breaks nobody, a narrower one refuses requests that were fine. A narrower output keeps the old
promise, a wider one breaks those who relied on it, another rank breaks all.

Server: it does not compare shapes: the graph fails, or worse, broadcasts.

Bad: `history` of any length, then of exactly 50.

Good: free axes stay free; what the model cuts, it cuts inside.
"""

from __future__ import annotations

from typing import Iterator, Tuple

from signatures.changes.versions import Tensor, Versions, allows
from signatures.findings import Finding, Rule, Severity
from signatures.saved_model import Shape

RULE = Rule(
    code="SIG506",
    name="changed_shape",
    severity="error",
    bad=(
        """
        input history int64[?,?]
        output score float32[?] = history
        ---
        input history int64[?,50]
        output score float32[?] = history
        """,
        """
        input history int64[?,?]
        output score float32[?,8] = history
        ---
        input history int64[?,?]
        output score float32[?,?] = history
        """,
    ),
    good=(
        """
        input history int64[?,?]
        output score float32[?] = history
        ---
        input history int64[?,?]
        output score float32[?] = history
        """,
    ),
)


def check(versions: Versions) -> Iterator[Finding]:
    """Finds inputs and outputs whose shape is another one."""
    for each in versions.tensors():
        if each.old.shape != each.new.shape:
            severity, change = _effect(each)
            cure = "" if severity == "info" else "; keep the shape"
            yield RULE.finding(
                f"{each.kind} {each.name!r} was {text(each.old.shape)} and is {text(each.new.shape)}, {change}{cure}",
                each.signature,
                each.name,
                severity,
            )


def _effect(tensor: Tensor) -> Tuple[Severity, str]:
    old, new = tensor.old.shape, tensor.new.shape
    if tensor.kind == "input":  # clients send what the old shape allowed
        if allows(new, old):
            return "info", "which is wider and takes all that clients send"
        return "error", "which is narrower, and requests of the old shape fail"
    if allows(old, new):  # clients read what the old shape promised
        return "info", "which is narrower and keeps the old promise"
    if old is not None and new is not None and len(old) != len(new):
        return "error", "which has another number of axes than clients read"
    return ("warning", "which is wider than clients rely on") if old is not None else ("error", "which is another one")


def text(shape: Shape) -> str:
    """A shape as a message has it."""
    return "of any rank" if shape is None else f"[{', '.join('?' if size is None else str(size) for size in shape)}]"
