"""The manifest says another dtype or shape than the graph has.

Why: a client builds its requests from the manifest and nothing casts on the way: each one is refused, or worse,
padded to a width that the graph reads otherwise.

Bad: the manifest has `user_id` as string, the graph as int64; the manifest lets a list be any length, the graph takes
50.

Good: what the manifest promises, the graph takes and gives.
"""

from __future__ import annotations

from typing import Iterator, Mapping, Optional

from signatures.export import Export
from signatures.findings import Finding, Rule
from signatures.manifest import TensorInfo as Declared
from signatures.saved_model import Shape, TensorInfo

RULE = Rule(
    code="SIG602",
    name="contradicted_manifest",
    severity="error",
    bad=(
        """
        input user_id int64[?]
        output score int64[?] = user_id
        manifest input user_id string[?]
        manifest output score int64[?]
        """,
        """
        input history int64[?,50]
        output score int64[?,50] = history
        manifest input history int64[?,?]
        manifest output score int64[?,50]
        """,
        """
        input price float32[?]
        output score float32[?] = price
        manifest input price float32[?]
        manifest output score float32[?,2]
        """,
    ),
    good=(
        """
        input history int64[?,?]
        output score int64 = history
        manifest input history int64[?,50]
        manifest output score int64[?,50]
        """,
    ),
)


def check(export: Export) -> Iterator[Finding]:
    """Compares dtypes and shapes of what both have; what one of them lacks is SIG601's."""
    for signature in export.inference():
        declared = export.declared(signature.name)
        if declared is not None:
            yield from _tensors("input", signature.name, declared.inputs, signature.inputs)
            yield from _tensors("output", signature.name, declared.outputs, signature.outputs)


def _tensors(
    kind: str, signature: str, declared: Mapping[str, Declared], served: Mapping[str, TensorInfo]
) -> Iterator[Finding]:
    for name in declared:
        problem = _problem(kind, declared[name], served[name]) if name in served else None
        if problem is not None:
            yield RULE.finding(f"{kind} {name!r} is {problem}; export the model again", signature, name)


def _problem(kind: str, declared: Declared, served: TensorInfo) -> Optional[str]:
    if declared.dtype != served.dtype:
        return f"{declared.dtype} in the manifest and {served.dtype} in the graph"
    if _agree(declared.shape, served.shape, may_be_fixed=kind == "output"):
        return None
    return f"{_text(declared.shape)} in the manifest and {_text(served.shape)} in the graph"


def _agree(declared: Shape, served: Shape, may_be_fixed: bool) -> bool:
    """Whether the graph takes, or gives, what is declared. A free size that the graph fixes breaks inputs only."""
    if declared is None or served is None:
        return True
    if len(declared) != len(served):
        return False
    pairs = zip(declared, served)
    return all(size is None or size == told or (told is None and may_be_fixed) for told, size in pairs)


def _text(shape: Shape) -> str:
    return "of any rank" if shape is None else f"[{', '.join('?' if size is None else str(size) for size in shape)}]"
