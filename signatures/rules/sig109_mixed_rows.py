"""An output may mix rows: a tensor is reduced, or multiplied by itself, over the batch.

Why: the server merges the requests of strangers, so a score that depends on its neighbours differs from call to call.
The graph alone gives a hint only: `lint --run` asks the model, with other neighbours, and decides (SIG701).

Bad: an in-batch softmax, a `[B, B]` product of users and items of the same request, `x - reduce_mean(x, axis=0)`.

Good: every row is computed by itself; a reduction is over the axes behind the first.
"""

from __future__ import annotations

from typing import Callable, Dict, Iterator, Optional

from signatures.export import Export
from signatures.findings import Finding, Rule
from signatures.reach import Reach
from signatures.references import data_inputs, resolve
from signatures.rules.sig207_batch_statistics import centred_mean, over_the_batch
from signatures.saved_model import Graph, Node, Place
from signatures.shapes import integers, shape

RULE = Rule(
    code="SIG109",
    name="mixed_rows",
    severity="info",
    bad=(
        """
        input price float32[?]
        output score float32[?]
        price = Placeholder shape=[?]
        axes = Const value=0
        mean = Mean price axes T=float32
        score = Sub price mean
        """,
        """
        input user float32[?,8]
        input item float32[?,8]
        output score float32[?,?] = call
        user = Placeholder shape=[?,8]
        item = Placeholder shape=[?,8]
        call = PartitionedCall user item f=@all_pairs
        function all_pairs(x, y) -> product:product:0
          left = Identity x  shapes=[?,8]
          right = Identity y  shapes=[?,8]
          product = MatMul left:output:0 right:output:0 transpose_b=true T=float32
        """,
        """
        input price float32[?,?]
        output score float32[?,?]
        price = Placeholder shape=[?,?]
        order = Const value=1,0
        turned = Transpose price order  shapes=[?,?]
        softmax = Softmax turned T=float32
        score = Transpose softmax order
        """,
    ),
    good=(
        """
        input price float32[?,4]
        output score float32[?]
        price = Placeholder shape=[?,4]
        axes = Const value=1
        mean = Mean price axes T=float32
        weights = VarHandleOp
        read = ReadVariableOp weights  shapes=[?,4]
        first = Const value=0
        total = Sum read first T=float32
        product = MatMul price read transpose_b=true T=float32
        score = AddN mean total product
        """,
        """
        input k int32[?]
        output size int32[]
        k = Placeholder shape=[?]
        axes = Const value=0
        size = Max k axes T=int32
        """,
    ),
)

_FLOATS = ("float16", "bfloat16", "float32", "float64")
"""Whole numbers and conditions over the batch say how wide or whether, as in a loop until the longest row is done."""


def check(export: Export) -> Iterator[Finding]:
    """Finds what works on several rows at once, where the graph says which axis is the batch."""
    for signature in export.inference():
        reach = export.reach(signature.name)
        live = export.trace(signature.name).live
        known = {(place.graph, mean.name) for place in live for mean in [_statistics(reach, place)] if mean is not None}
        for place in live:
            what = _mixes(reach, place)
            if what is not None and (place.graph, place.node.name) not in known:
                yield RULE.finding(
                    f"{place} {what}, so a row's score may depend on its neighbours; "
                    "let lint --run decide, and compute each row by itself",
                    signature.name,
                    place.node.name,
                )


def _statistics(reach: Reach, place: Place) -> Optional[Node]:
    """The mean of which SIG207 speaks already."""
    return centred_mean(reach, place) if place.node.op == "SquaredDifference" else None


def _mixes(reach: Reach, place: Place) -> Optional[str]:
    """What a node does over the batch; None when nothing, or nothing that is known."""
    look = _LOOKS.get(place.node.op)
    if look is None or place.graph in reach.repeated or _type(place.node) not in _FLOATS:
        return None
    if _of_statistics(reach, place):
        return None
    return look(reach, reach.body(place.graph), place.node)


def _of_statistics(reach: Reach, place: Place) -> bool:
    """True for the mean of squared differences, the second half of a variance."""
    graph = reach.body(place.graph)
    inputs = data_inputs(place.node)
    source = graph.nodes.get(resolve(graph, inputs[0])[0]) if inputs else None
    return source is not None and over_the_batch(reach, Place(place.graph, source))


def _type(node: Node) -> object:
    return node.attributes.get("T", "float32")


def _reduces(reach: Reach, graph: Graph, node: Node) -> Optional[str]:
    inputs = data_inputs(node)
    axes = integers(graph, inputs[1]) if len(inputs) == 2 else None
    rows = _batch(reach, graph, inputs[0]) if inputs else 0
    return "works along the batch" if rows and axes and (0 in axes or -rows in axes) else None


def _multiplies(reach: Reach, graph: Graph, node: Node) -> Optional[str]:
    """A product that keeps both operands' first axes, both of them rows."""
    inputs = data_inputs(node)
    kept = not node.attributes.get("transpose_a", False) and node.attributes.get("transpose_b", False) is True
    both = len(inputs) == 2 and all(_batch(reach, graph, each) for each in inputs)
    return "pairs every row with every row" if kept and both else None


def _contracts(reach: Reach, graph: Graph, node: Node) -> Optional[str]:
    """An einsum whose operands have their rows under two names, and both remain, or whose rows are summed."""
    inputs = data_inputs(node)
    equation = node.attributes.get("equation", b"")
    terms, _, result = (equation.decode(errors="replace") if isinstance(equation, bytes) else "").partition("->")
    firsts = [term[:1] for term in terms.split(",")]
    rows = {first for first, each in zip(firsts, inputs) if _batch(reach, graph, each)}
    if any(first not in result for first in rows):
        return "sums over the batch"
    return "pairs every row with every row" if len(rows) > 1 else None


def _turned(reach: Reach, graph: Graph, node: Node) -> Optional[str]:
    """A softmax over the last axis, where a transposition has put the batch there."""
    inputs = data_inputs(node)
    source = graph.nodes.get(resolve(graph, inputs[0])[0]) if inputs else None
    if source is None or source.op != "Transpose" or len(data_inputs(source)) != 2:
        return None
    turned, order = data_inputs(source)
    numbers = integers(graph, order)
    return "works along the batch" if numbers and numbers[-1] == 0 and _batch(reach, graph, turned) else None


def _batch(reach: Reach, graph: Graph, reference: str) -> int:
    """The rank of a tensor whose free first axis holds rows of the request; 0 for any other."""
    found = shape(graph, reference)
    return len(found) if found and found[0] is None and reach.changes(graph, reference) else 0


_LOOKS: Dict[str, Callable[[Reach, Graph, Node], Optional[str]]] = {
    **dict.fromkeys(("Mean", "Sum", "Max", "Min", "Prod", "EuclideanNorm", "Cumsum", "Cumprod"), _reduces),
    "MatMul": _multiplies,
    "Einsum": _contracts,
    "Softmax": _turned,
    "LogSoftmax": _turned,
}
