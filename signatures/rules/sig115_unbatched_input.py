"""An input has not the batch as its free first axis.

Why: a server that batches joins the requests of strangers along the first axis of every input. A scalar cannot be
joined ("Batching Run() input tensors must have at least one dimension"), a fixed number of rows fits one request size
only, and of an unknown rank neither clients nor REST know what to send.

Bad: `tf.TensorSpec([], tf.int32)`, `tf.TensorSpec([32, 8])`, `tf.TensorSpec(None)`.

Good: `tf.TensorSpec([None])`, one value per row; `k` too. A signature that the manifest declares as not batchable is
not asked.
"""

from __future__ import annotations

from typing import Iterator

from signatures.export import Export
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG115",
    name="unbatched_input",
    severity="warning",
    bad=(
        """
        input price float32[?]
        input k int32[]
        output score float32[?]
        score = TopKV2 price k
        """,
        """
        input price float32[32,8]
        output score float32[?]
        score = Sum price
        """,
        """
        input price float32
        output score float32[?]
        score = Sum price
        """,
    ),
    good=(
        """
        input price float32[?]
        input picture float32[?,32,32,3]
        output score float32[?]
        score = AddN price picture
        """,
    ),
)


def check(export: Export) -> Iterator[Finding]:
    """Finds inputs whose static shape does not begin with a free axis."""
    for signature in export.row_wise():
        for name, info in signature.inputs.items():
            # A sparse or ragged input is several tensors, whose rows are not on their first axes.
            problem = info.without_rows() if len(info.tensors) == 1 else None
            if problem is not None:
                yield RULE.finding(
                    f"input {name!r} {problem}, so a server cannot join requests into batches; "
                    "give it the batch as a free first axis, one value per row",
                    signature.name,
                    name,
                )
