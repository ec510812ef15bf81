"""What the tracer must know of TensorFlow's ops: which call functions, carry no value, hold or write state."""

from __future__ import annotations

import re

from signatures.saved_model import Node

# Attribute that names the function, whose arguments are the node's inputs and whose returns are its outputs.
CALLS = {
    "PartitionedCall": "f",
    "StatefulPartitionedCall": "f",
    "TPUPartitionedCall": "f",
    "BatchFunction": "f",
    "XlaLaunch": "function",
    "XlaLaunchV2": "function",
}
BRANCHES = ("If", "StatelessIf", "Case", "StatelessCase")
"""Input 0 chooses the function; the others are its arguments."""
LOOPS = ("While", "StatelessWhile")
PLACEHOLDERS = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
FORWARDS = ("Identity", "StopGradient", "PreventGradient", "Snapshot", "EnsureShape", "DisableCopyOnRead")
"""Ops with one output that is their input 0."""
VALUELESS = (
    "Shape",
    "ShapeN",
    "Size",
    "Rank",
    "ZerosLike",
    "OnesLike",
    "VariableShape",
    "VarIsInitializedOp",
    "IsVariableInitialized",
)
"""Ops whose output is the same whatever the values of their inputs."""

_HANDLES = re.compile(r"VarHandleOp|Variable(V2)?|.*HashTable.*|.*(Queue|Stack|Barrier|Accumulator|TensorArray)(V\d)?")
_WRITES = re.compile(
    r"Assign(Add|Sub)?(VariableOp)?"
    r"|(Resource)?(Sparse)?Apply[A-Z].*"
    r"|ResourceScatter.*|Scatter(Add|Sub|Mul|Div|Min|Max|Update|Nd(Add|Sub|Min|Max|Update))"
    r"|(Resource)?StridedSliceAssign|(Resource)?CountUpTo"
    r"|LookupTable(Insert|Import|Remove)(V2)?|InitializeTable.*"
    r"|Queue(Enqueue|Close).*|StackPush(V2)?|BarrierInsertMany|.*AccumulatorApplyGradient"
)
_FILES = re.compile(
    r"WriteFile|ReadFile|MatchingFiles|Save(V2|Slices)?|Restore(V2|Slice)?|MergeV2Checkpoints"
    r"|(WholeFile|TextLine|TFRecord|FixedLengthRecord|LMDB)Reader(V2)?|ReaderRead(UpTo)?(V2)?"
    r"|(TextLine|TFRecord|FixedLengthRecord|Load|Save|Snapshot|Cache|LMDB|Csv|Sql)Dataset.*"
    r"|ImmutableConst|InitializeTableFromTextFile(V2)?|DebugIdentity.*|.*Summary(FileWriter|DbWriter)|Write.*Summary"
)


def holds_state(node: Node) -> bool:
    """True for a node that makes the handle of a variable, a table or a queue."""
    return not node.inputs and _HANDLES.fullmatch(node.op) is not None


def writes_state(node: Node) -> bool:
    """True for a node that changes what the handle in its input 0 holds."""
    return _WRITES.fullmatch(node.op) is not None


def touches_files(node: Node) -> bool:
    """True for a node that reads or writes files of the host; its inputs say which."""
    if node.op == "PrintV2":
        return bytes(node.attributes.get("output_stream", b"")).startswith(b"file://")
    return _FILES.fullmatch(node.op) is not None
