"""A signature changes a variable, a table or a queue.

Why: a request must not change the answers to the next one. Replicas drift apart, a restart forgets, and concurrent
requests race. Often the write is reached by no output and runs all the same.

Bad: batch normalisation in training mode moving its averages; an optimizer step; `counter.assign_add(1)`.

Good: variables are only read. What the init op fills at load is not counted.
"""

from __future__ import annotations

from typing import Iterator

from signatures.export import Export
from signatures.findings import Finding, Rule
from signatures.ops import writes_state
from signatures.saved_model import Node

RULE = Rule(
    code="SIG203",
    name="state_write",
    severity="error",
    bad=(
        """
        input price float32[?]
        output score float32[?] = call
        average = VarHandleOp
        call = StatefulPartitionedCall price average f=@training
        function training(x, moving) -> x ^moved
          moved = AssignSubVariableOp moving x dtype=float32
        """,
        """
        input price float32[?]
        output score float32[?]
        calls = VarHandleOp
        one = Const
        count = AssignAddVariableOp calls one dtype=int64
        score = Identity price ^count
        """,
    ),
    good=(
        """
        input price float32[?]
        output score float32[?]
        table = HashTableV2
        load = InitializeTableV2 table keys values
        keys = Const
        values = Const
        init load
        missing = Const
        score = LookupTableFindV2 table price missing
        update = TensorScatterAdd price price price
        """,
    ),
)


def check(export: Export) -> Iterator[Finding]:
    """Finds writes that run in a signature; counting in whole numbers is a warning."""
    for signature in export.inference():
        for place in export.trace(signature.name).running:
            if writes_state(place.node):
                yield RULE.finding(
                    f"{place} changes state at every request; export a function that only reads its variables",
                    signature.name,
                    place.node.name,
                    "warning" if _counts(place.node) else "error",
                )


def _counts(node: Node) -> bool:
    kind = node.attributes.get("dtype", node.attributes.get("T"))
    return node.op in ("AssignAddVariableOp", "AssignAdd") and kind in ("int32", "int64")
