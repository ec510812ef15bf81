"""Ids are floating point numbers.

Why: float32 has whole numbers up to 16,777,216 (2^24). Above it neighbours collide, 16777217 is 16777216, and users get
each other's rows without an error. float16 collides above 2,048.

Bad: `user_id` as a float32 input; a float32 input that is cast to int64 and looked up in an embedding.

Good: ids are int64 or strings. A number that is divided into buckets is none.
"""

from __future__ import annotations

import re
from typing import Iterator, Optional

from signatures.aliases import uses
from signatures.export import Export
from signatures.findings import Finding, Rule
from signatures.saved_model import Place, Signature

RULE = Rule(
    code="SIG112",
    name="float_id",
    severity="warning",
    bad=(
        """
        input member float32[?]
        output score float32[?] = call
        call = PartitionedCall member table f=@look_up
        table = VarHandleOp
        function look_up(x, handle) -> row:output:0
          id = Cast x DstT=int64
          row = ResourceGather handle id:y:0
        """,
        """
        input user_id float32[?]
        output score float32[?]
        score = Mul user_id user_id
        """,
        """
        input member float32[?]
        output score float32[?]
        table = HashTableV2
        name = AsString member
        missing = Const
        score = LookupTableFindV2 table name missing
        """,
    ),
    good=(
        """
        input user_id int64[?]
        input price float32[?]
        input width float32[?]
        output score float32[?]
        table = VarHandleOp
        ten = Const
        tens = RealDiv price ten
        bucket = Cast tens DstT=int64
        row = ResourceGather table bucket
        user = ResourceGather table user_id
        whole = Cast width DstT=int32
        score = AddN row user whole
        """,
    ),
)

_FLOATS = {"float16": "2^11", "bfloat16": "2^8", "float32": "2^24", "float64": "2^53"}
"""Floating types, and where their whole numbers begin to collide."""
_INDEX = {
    **dict.fromkeys(("Gather", "GatherV2", "GatherNd", "ResourceGather", "ResourceGatherNd"), 1),
    **dict.fromkeys(("LookupTableFind", "LookupTableFindV2", "SparseSegmentMean", "SparseSegmentSum"), 1),
    **dict.fromkeys(("OneHot", "StringToHashBucket", "StringToHashBucketFast", "StringToHashBucketStrong"), 0),
}
"""Ops that look something up, and which input says what."""
_ID = re.compile(r"(.*[a-z_\W])?(?<![A-Za-z])ids?|.*[a-z]Ids?")


def check(export: Export) -> Iterator[Finding]:
    """Finds floating inputs that are looked up, and those that are named as ids."""
    for signature in export.inference():
        for name, info in signature.inputs.items():
            if info.dtype not in _FLOATS:
                continue
            place = _looked_up(export, signature, name)
            if place is None and not _ID.fullmatch(name):
                continue
            use = f" and looked up at {place}" if place is not None else ", and its name says that it is an id"
            yield RULE.finding(
                f"input {name!r} is {info.dtype}{use}: ids collide above {_FLOATS[info.dtype]}; "
                "make it int64 or string",
                signature.name,
                name,
            )


def _looked_up(export: Export, signature: Signature, name: str) -> Optional[Place]:
    """Where the input, cast to a whole number or a string and otherwise as it is, says what to look up."""
    export.trace(signature.name)  # solves the functions that are followed
    found = uses(export.tracer().library, export.model.graph, signature.inputs[name].tensors)
    return next((use.place for use in found if use.is_id and _INDEX.get(use.place.node.op) == use.position), None)
