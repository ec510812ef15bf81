"""The folder `variables/` is much larger than the variables of the graph.

Why: the export carries something that nobody reads: a training checkpoint with its optimizer, the shard of an earlier
export, a copy. It is stored, copied to every server, and partly loaded.

Bad: a checkpoint of training put in the place of the variables; `variables.data-00000-of-00002` beside a single shard.

Good: what tf.saved_model.save writes: the values, and a few kilobytes about them.
"""

from __future__ import annotations

from typing import Iterator

from signatures.export import Export
from signatures.findings import Finding, Rule
from signatures.rules.sig303_unread_variable import size

RULE = Rule(
    code="SIG304",
    name="oversized_variables",
    severity="warning",
    bad=(
        "variable_bytes 12000000\nweight = VarHandleOp dtype=float32 shape=[1000,1000]",
        "variable_bytes 2000000\npath = VarHandleOp dtype=string shape=[]",
    ),
    good=(
        "variable_bytes 4005000\nweight = VarHandleOp dtype=float32 shape=[1000,1000]",
        "variable_bytes 90000\nweight = VarHandleOp dtype=float32 shape=[1]",
        "variable_bytes 12000000\nweight = VarHandleOp dtype=float32 shape=[?,1000]",
        "variable_bytes 12000000\ntable = MutableHashTableV2",
        "variable_bytes 12000000\nnames = VarHandleOp dtype=string shape=[1000]",
    ),
)

_TIMES = 3, 2
"""As a fraction; a damaged file may declare numbers beyond any float."""
_SLACK = 1_000_000
"""Bytes that names, indices and the description of the objects may take."""
_STORED_TOO = ("MutableHashTable", "MutableDenseHashTable", "TFRA>", "AnonymousMutable", "BoostedTrees")


def check(export: Export) -> Iterator[Finding]:
    """Compares the bytes on disk with what the graph declares; silent where that cannot be known."""
    model = export.model
    sizes = [size(each) for each in model.variables()]
    if None in sizes or any(node.op.startswith(_STORED_TOO) for node in model.graph.nodes.values()):
        return
    declared = sum(each for each in sizes if each is not None)
    if _TIMES[1] * (model.variable_bytes - _SLACK) > _TIMES[0] * declared:
        yield RULE.finding(
            f"the files in variables/ take {model.variable_bytes / 1e6:.1f} MB, and the graph's {len(sizes)} variables "
            f"need {declared / 1e6:.1f} MB; export into an empty folder, without optimizer and training checkpoint",
            None,
            None,
        )
