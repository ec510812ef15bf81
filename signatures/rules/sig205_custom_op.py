"""A model needs an op that the stock server lacks.

Why: TensorFlow Serving has TensorFlow's own ops, TF-Text's and TF-DF's. Others are missing: in the main graph the model
does not load; in a function it loads, is AVAILABLE, and the first request fails with "Op type not registered".

Bad: a ScaNN index (`Scann>…`), tensorflow-io (`IO>…`), TFRA (`TFRA>…`) or an op of one's own for the stock server.

Good: stock ops, or a manifest that declares the op in `extra_ops` and the image that has it in `server_image`.
"""

from __future__ import annotations

from typing import Iterator, Optional, Set

from signatures.export import Export
from signatures.findings import Finding, Rule
from signatures.saved_model import Place
from signatures.stock_ops import in_stock_server

RULE = Rule(
    code="SIG205",
    name="custom_op",
    severity="error",
    bad=(
        """
        input query float32[?,8]
        output id int64[?,10]
        id = Scann>ScannSearchBatched query
        """,
        """
        input query float32[?,8]
        output id int64[?,10] = call
        call = PartitionedCall query f=@search
        function search(x) -> found:index:0
          found = TFRA>CuckooHashTableFind x
        """,
        """
        input price float32[?]
        output score float32[?] = price
        stream = IO>KafkaReadableInit
        """,
        """
        input id int64[?]
        output row float32[?,8]
        table = KvVarHandleOp
        row = KvResourceGather table id
        """,
    ),
    good=(
        """
        input query float32[?,8]
        output id int64[?,10]
        id = TopKV2 query
        function unused(x) -> found:index:0
          found = Scann>ScannSearchBatched x
        """,
        """
        input query string[?]
        output tokens int64[?,10]
        tokens = TFText>FastWordpieceTokenizeWithOffsets query
        """,
        """
        input price float32[?]
        output score float32[?]
        score = doubled price
        function doubled(x) -> y:z:0
          y = AddV2 x x
        """,
    ),
)


def check(export: Export) -> Iterator[Finding]:
    """Finds foreign ops that run, or lie in the main graph; declared ones are only mentioned."""
    runs: Set[str] = set()
    for name, trace in export.traces():
        for place in trace.running:
            runs.update([] if place.graph else [place.node.name])
            yield from _missing(export, name, place)
    for node in export.model.graph.nodes.values():
        if node.name not in runs:
            yield from _missing(export, None, Place("", node))


def _missing(export: Export, signature: Optional[str], place: Place) -> Iterator[Finding]:
    op = place.node.op
    if in_stock_server(op) or op in export.model.functions:  # old graphs call a function by its name
        return
    if export.manifest is not None and op in export.manifest.extra_ops:
        image = export.manifest.server_image
        yield RULE.finding(f"{place} needs the server image {image}, as declared", signature, place.node.name, "info")
        return
    yield RULE.finding(
        f"{place} is no op of the stock server; use stock ops, or declare the op in the manifest's extra_ops "
        "and the image that has it in server_image",
        signature,
        place.node.name,
    )
