"""Large constants are in the graph itself.

Why: `saved_model.pb` is one protocol buffer, which 2 GiB ends: beyond it nothing loads. Well before, every server
parses and holds it twice at load, and a new version cannot share or shard it as it does variables.

Bad: an embedding matrix as `tf.constant(array)`, a frozen graph, an array of numpy used within the exported function.

Good: a tf.Variable, whose values are in `variables/`; a vocabulary as an asset.
"""

from __future__ import annotations

from typing import Iterator

from signatures.export import Export
from signatures.findings import Finding, Rule
from signatures.saved_model import Node, Place

RULE = Rule(
    code="SIG209",
    name="huge_constant",
    severity="warning",
    bad=(
        """
        file_bytes 20000000
        input id int64[?]
        output score float32[?]
        table = Const content_bytes=19000000
        score = GatherV2 table id
        """,
        """
        file_bytes 20000000
        input id int64[?]
        output score float32[?] = call
        call = PartitionedCall id f=@look_up
        function look_up(x) -> row:output:0
          one = Const content_bytes=6000000
          two = Const content_bytes=6000000
          table = ConcatV2 one:output:0 two:output:0
          row = GatherV2 table:output:0 x
        """,
    ),
    good=(
        """
        file_bytes 20000000
        input id int64[?]
        output score float32[?]
        table = Const content_bytes=9000000
        score = GatherV2 table id
        """,
    ),
)

MEGABYTE = 1_000_000
LIMIT = 10 * MEGABYTE
"""Of each constant, and of all of them together."""


def check(export: Export) -> Iterator[Finding]:
    """Finds constants above the limit, or many small ones that are together; whether they run or not."""
    if export.model.file_bytes <= LIMIT:  # then no constant is larger, and no node need be looked at
        return
    total, largest = 0, Place("", Node("", ""))
    for place in _constants(export):
        size = place.node.content_bytes
        total += size
        largest = place if size > largest.node.content_bytes else largest
        if size > LIMIT:
            yield _finding(f"{place} holds {_megabytes(size)} in the graph", place)
    if largest.node.content_bytes <= LIMIT < total:
        share = f", the largest of them {_megabytes(largest.node.content_bytes)} in {largest}"
        yield _finding(f"constants hold {_megabytes(total)} in the graph{share}", largest)


def _finding(what: str, place: Place) -> Finding:
    cure = "make them a tf.Variable, so that they are stored in variables/"
    return RULE.finding(f"{what}, and saved_model.pb ends at 2 GiB; {cure}", None, place.node.name)


def _constants(export: Export) -> Iterator[Place]:
    for graph in (export.model.graph, *export.model.functions.values()):
        for node in graph.nodes.values():
            if node.content_bytes:
                yield Place(graph.name, node)


def _megabytes(size: int) -> str:
    return f"{size / MEGABYTE:.0f} MB"
