"""What the tracer must know of TensorFlow's ops: which call functions, carry no value, hold or write state."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Optional, Tuple

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
FORWARDS = (
    "Identity",
    "StopGradient",
    "PreventGradient",
    "Snapshot",
    "EnsureShape",
    "DisableCopyOnRead",
    "Print",
    "CheckNumerics",
    "CheckNumericsV2",
)
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
"""Ops whose output is the same whatever the values of their inputs: of these they see the shape."""
SWITCHES = ("Switch", "RefSwitch", "_SwitchN")
MERGES = ("Merge", "RefMerge", "_XlaMerge")

_HANDLES = re.compile(
    r"VarHandleOp|Variable(V2)?|TemporaryVariable|.*HashTable(OfTensors)?(V\d)?"
    r"|.*(Queue|Stack|Barrier|Accumulator|TensorArray)(V\d)?|(Anonymous|OneShot|MultiDevice)*Iterator(V\d)?"
)
_WITH_INPUTS = re.compile(r"Stack(V2)?|.*HashTable.*|OneShotIterator|Anonymous.*Iterator.*")
"""Handles that are made from something: a size, a missing key."""
_WRITES = re.compile(
    r"Assign(Add|Sub)?(VariableOp)?|AssignVariableXla.*"
    r"|(Resource)?(Sparse)?Apply[A-Z].*"
    r"|ResourceScatter.*|Scatter(Add|Sub|Mul|Div|Min|Max|Update|Nd(Add|Sub|Min|Max|Update))"
    r"|(Resource)?StridedSliceAssign|(Resource)?CountUpTo"
    r"|LookupTable(Insert|Import|Remove)(V2)?|InitializeTable.*|MakeIterator"
    r"|Queue(Enqueue|Close).*|StackPush(V2)?|BarrierInsertMany|.*AccumulatorApplyGradient"
    r"|.+>.*(Insert|Import|Remove|Assign|Scatter|Update|Enqueue|Accum).*"
)
_FILES = re.compile(
    r"WriteFile|ReadFile|MatchingFiles|Save(V2|Slices)?|Restore(V2|Slice)?|MergeV2Checkpoints"
    r"|(WholeFile|TextLine|TFRecord|FixedLengthRecord|LMDB)Reader(V2)?|ReaderRead(UpTo)?(V2)?"
    r"|(TextLine|TFRecord|FixedLengthRecord|Load|Save|Snapshot|Cache|LMDB|Csv|Sql)Dataset.*"
    r"|ImmutableConst|InitializeTableFromTextFile(V2)?|DebugIdentity.*|.*Summary(FileWriter|DbWriter)|Write.*Summary"
)
_SPECIAL = frozenset(
    (*CALLS, *BRANCHES, *LOOPS, *PLACEHOLDERS, *FORWARDS, *VALUELESS, *SWITCHES, *MERGES, "IdentityN", "PrintV2")
    + ("ParseExample", "ParseExampleV2", "ParseSingleExample")
)
# Ops whose output's shape is made of their inputs' shapes alone.
_SHAPED_BY_SHAPES = re.compile(
    r"Const|NoOp|Cast|Bitcast|Abs|A?(Cos|Sin|Tan)h?|Atan2|Ceil|Floor|Round|Rint|Digamma|Lgamma|Erf|Erfc|Erfinv|Exp|Expm1"
    r"|Inv|Reciprocal|Invert|Is(Finite|Inf|Nan)|Log|Log1p|LogSoftmax|Softmax|Softplus|Softsign|Sigmoid|Sign|Sqrt|Rsqrt"
    r"|Square|Neg|Ndtri|Elu|Selu|Relu|Relu6|LeakyRelu|Logical(Not|And|Or)|Add|AddV2|AddN|AccumulateNV2|BiasAdd(V1)?|Sub"
    r"|Mul|MulNoNan|(Real|Floor|Truncate)?Div|DivNoNan|(Floor|Truncate)?Mod|Equal|NotEqual|Greater(Equal)?|Less(Equal)?"
    r"|ApproximateEqual|Maximum|Minimum|Pow|SquaredDifference|Xdivy|Xlogy|Xlog1py|Bitwise(And|Or|Xor)|(Left|Right)Shift"
    r"|Select(V2)?|ClipByValue|MatMul|BatchMatMul(V2|V3)?|Einsum|_Fused.*|FusedBatchNorm(V2|V3)?|Conv[23]D|LRN|L2Loss"
    r"|DepthwiseConv2dNative|(Max|Avg)Pool(3D)?|Pack|Unpack|Squeeze|Gather(Nd)?|ResourceGather(Nd)?|ReadVariableOp"
    r"|Reverse(V2|Sequence)?|Roll|Cum(sum|prod)|Matrix(BandPart|Diag|DiagPart|Transpose)|TensorScatter.*|InTopK(V2)?"
    r"|InvertPermutation|(Ref)?(Enter|Exit|NextIteration|Switch|Merge)|_SwitchN|LoopCond|LookupTableFind(V2)?|Bucketize"
    r"|String(Lower|Upper|Strip|Length|Join|ToHashBucket(Fast|Strong)?|ToNumber)|Substr|AsString|(Static)?Regex.*"
    r"|Sigmoid(Grad)|(Tanh|Relu|Elu|Rsqrt|Sqrt)Grad|(Sparse)?SoftmaxCrossEntropyWithLogits|VarHandleOp|VariableV2"
)
# Others: the inputs whose value the shape depends on as well. What is in neither table may depend on all of them.
_SHAPED_BY = (
    (re.compile(r"Reshape|BroadcastTo|Tile|(Mirror)?Pad(V2)?|OneHot|Transpose|ExpandDims|SplitV|TopK(V2)?"), (1,)),
    (re.compile(r"(Stateless)?Multinomial"), (1,)),
    (re.compile(r"Sum|Mean|Prod|Max|Min|Any|All|EuclideanNorm|ArgM(ax|in)|ReduceJoin|SparseToDense"), (1,)),
    (re.compile(r"Segment.*|DenseBincount|DynamicPartition"), (1,)),
    (re.compile(r"Fill|Empty|Random[A-Z]\w*|TruncatedNormal|Stateless(Random|Truncated).*|Split|Concat"), (0,)),
    (re.compile(r"GatherV2|ScatterNd|UnsortedSegment.*|LinSpace|SparseSegment.*"), (2,)),
    (re.compile(r"Stateful(Standard|Truncated|Uniform|Random).*"), (2,)),
    (re.compile(r"Slice"), (1, 2)),
    (re.compile(r"StridedSlice"), (1, 2, 3)),
    (re.compile(r"ConcatV2"), (-1,)),
)


def holds_state(node: Node) -> bool:
    """True for a node that makes the handle of a variable, a table, a queue or an iterator."""
    return _holds(node.op) and (not node.inputs or _WITH_INPUTS.fullmatch(node.op) is not None)


def writes_state(node: Node) -> bool:
    """True for a node that changes what the handle among its inputs holds; `written_place` says which input that is."""
    return _writes(node.op)


def written_place(op: str) -> int:
    """The place of the handle among the inputs of an op that writes."""
    return 1 if op == "MakeIterator" else 0


def touches_files(node: Node) -> bool:
    """True for a node that reads or writes files of the host; its inputs say which."""
    if node.op == "PrintV2":
        return bytes(node.attributes.get("output_stream", b"")).startswith(b"file://")
    return _files(node.op)


@lru_cache(maxsize=4096)
def is_plain(op: str) -> bool:
    """True for an op that does nothing but compute each output from all inputs, if it calls no function."""
    return op not in _SPECIAL and not _holds(op) and not _writes(op) and not _files(op)


@lru_cache(maxsize=4096)
def shaping(op: str) -> Optional[Tuple[int, ...]]:
    """The inputs whose value the shape of an op's outputs depends on, beside all inputs' shapes; None: perhaps all."""
    if _SHAPED_BY_SHAPES.fullmatch(op):
        return ()
    return next((places for pattern, places in _SHAPED_BY if pattern.fullmatch(op)), None)


@lru_cache(maxsize=4096)
def _holds(op: str) -> bool:
    return _HANDLES.fullmatch(op) is not None


@lru_cache(maxsize=4096)
def _writes(op: str) -> bool:
    return _WRITES.fullmatch(op) is not None


@lru_cache(maxsize=4096)
def _files(op: str) -> bool:
    return _FILES.fullmatch(op) is not None
