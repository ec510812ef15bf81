"""The export holds variables that no signature reads.

Why: they are loaded into the memory of every server, twice during a change of version. The slots of an optimizer
alone are two or three times the model.

Bad: exporting the object that trains: Adam's slots, the totals of metrics, a tower that only training uses.

Good: a tf.Module that tracks the variables of its signatures. Counters and the state of random generators are small,
and only mentioned.
"""

from __future__ import annotations

import math
import re
from typing import Iterator, List, Optional, Set

from signatures.export import Export
from signatures.findings import Finding, Rule, Severity
from signatures.references import data_inputs
from signatures.saved_model import VARIABLES, Variable, node_name
from signatures.transfer import resource

RULE = Rule(
    code="SIG303",
    name="unread_variable",
    severity="warning",
    bad=(
        """
        input price float32[?]
        output score float32[?]
        weight = VarHandleOp dtype=float32 shape=[]
        slot = VarHandleOp shared_name='Adam/m/weight' dtype=float32 shape=[]
        read = ReadVariableOp weight
        score = Mul price read
        saved = ReadVariableOp slot
        """,
        """
        input price float32[?]
        output score float32[?] = price
        total = VariableV2 dtype=float32 shape=[]
        steps = VarHandleOp dtype=int64 shape=[]
        """,
    ),
    good=(
        """
        input price float32[?]
        output score float32[?] = call
        weight = VarHandleOp dtype=float32 shape=[]
        call = StatefulPartitionedCall price weight f=@scale
        function scale(x, handle) -> score:z:0
          read = ReadVariableOp handle
          score = Mul x read:value:0
        """,
    ),
)

_BYTES = {"float64": 8, "int64": 8, "uint64": 8, "float16": 2, "bfloat16": 2, "bool": 1, "int8": 1, "uint8": 1}
_MOST = 2**63
"""A damaged file may declare more, and a number of any length."""
_NAMED = 3


def check(export: Export) -> Iterator[Finding]:
    """Finds variables that nothing reads: one finding, which names the first few and tells how large they are."""
    if any(export.training()) or not any(export.inference()):
        return
    variables = list(export.model.variables())
    names = _read(export)
    read = [each for each in variables if each.name in names]
    unread = [each for each in variables if each.name not in names]
    left = _copies(export, read, unread) | _statistics(unread)
    wasted = [each for each in unread if "float" in each.dtype and each.name not in left]
    if wasted:
        yield _finding(wasted, "warning")
    rest = [each for each in unread if each not in wasted]
    if rest:
        yield _finding(rest, "info")


def _finding(found: List[Variable], severity: Severity) -> Finding:
    names = ", ".join(repr(each.name) for each in found[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    noun = "variable" if len(found) == 1 else "variables"
    return RULE.finding(
        f"no signature reads {noun} {names}{more} ({_size(found)}), which every server loads; "
        "export an object that tracks the signatures' variables only",
        None,
        found[0].name,
        severity,
    )


def _copies(export: Export, read: List[Variable], unread: List[Variable]) -> Set[str]:
    """Names of variables that stand beside one that is read, as Keras 3 leaves them: same name but for its number, or
    filled from another variable."""
    kinds = {(_unnumbered(each.name), each.dtype, each.shape) for each in read}
    named = {each.name for each in unread if (_unnumbered(each.name), each.dtype, each.shape) in kinds}
    nodes = export.model.graph.nodes
    filled = set()
    for node in nodes.values():
        inputs = [node_name(each) for each in data_inputs(node)]
        value = nodes.get(inputs[1]) if node.op == "AssignVariableOp" and len(inputs) == 2 else None
        if value is not None and value.op == "ReadVariableOp" and data_inputs(value)[:1] != [inputs[0]]:
            filled.add(inputs[0])
    return named | {each.name for each in unread if each.node in filled}


def _statistics(unread: List[Variable]) -> Set[str]:
    """Names of what Keras' Normalization layer adapted, which its signature has as constants: mean, variance, count."""
    names = {each.name for each in unread}
    counted = {_unnumbered(each.name)[: -len("count")] for each in unread if _unnumbered(each.name).endswith("count")}
    return {name for name in names for within in counted if _unnumbered(name) in (f"{within}mean", f"{within}variance")}


def _unnumbered(name: str) -> str:
    return re.sub(r"_\d+$", "", name)


def size(variable: Variable) -> Optional[int]:
    """Bytes of a variable's value; None where its shape is not known or it holds texts. One text is an asset's path."""
    if variable.shape is None or None in variable.shape:
        return None
    if variable.dtype == "string":
        return None if variable.shape else 0
    return min(_MOST, math.prod(each or 0 for each in variable.shape) * _BYTES.get(variable.dtype, 4))


def _read(export: Export) -> Set[str]:
    """Names of the variables whose handles a signature, or the loading, makes."""
    return {
        resource(place.graph, place.node).name
        for _, trace in export.traces()
        for place in trace.running
        if place.node.op in VARIABLES
    }


def _size(variables: List[Variable]) -> str:
    sizes = [size(each) for each in variables]
    total = sum(each for each in sizes if each is not None)
    text = f"{total} bytes" if total < 1_000_000 else f"{total / 1_000_000:.1f} MB"
    return f"{text} and more" if None in sizes else text
