"""A normalisation uses the statistics of the batch.

Why: the score of a row changes with the strangers' rows that the server put into the same batch, and one row alone is
normalised to nothing. Mostly it is batch normalisation that was left in training mode.

Bad: `batch_norm(x, training=True)`, or `tf.nn.moments(x, [0])`, in the exported function.

Good: `batch_norm(x, training=False)`, which uses the averages of training. LayerNormalization is good, although Keras 2
computes it by FusedBatchNormV3(is_training=True): it puts the rows on the axis that is kept apart.
"""

from __future__ import annotations

from typing import Iterator, Optional, Tuple

from signatures.export import Export
from signatures.findings import Finding, Rule
from signatures.ops import FORWARDS
from signatures.reach import Reach
from signatures.references import data_inputs, resolve
from signatures.saved_model import Graph, Node, Place, Shape
from signatures.shapes import integers, shape

RULE = Rule(
    code="SIG207",
    name="batch_statistics",
    severity="error",
    bad=(
        """
        input image float32[?,5,5,3]
        output score float32[?,5,5,3]
        scale = Const
        score = FusedBatchNormV3 image scale scale scale scale  shapes=[?,5,5,3]|[3]|[3]
        image = Placeholder shape=[?,5,5,3]
        """,
        """
        input price float32[?,3]
        output score float32[?,3] = call
        price = Placeholder shape=[?,3]
        call = PartitionedCall price f=@normalise
        function normalise(x) -> score:z:0
          axes = Const value=0
          mean = Mean x axes:output:0 T=float32 keep_dims=true
          fixed = StopGradient mean:output:0
          spread = SquaredDifference x fixed:output:0  shapes=[?,3]
          variance = Mean spread:z:0 axes:output:0 T=float32
          score = Sub x variance:output:0
        """,
        """
        input price float32[?,3]
        output score float32[1,?,1,3]
        shape = Const value=1,-1,1,3
        rows = Reshape price shape  shapes=[1,?,1,3]
        scale = Const
        score = FusedBatchNormV3 rows scale scale scale scale
        """,
    ),
    good=(
        """
        input price float32[?,3]
        output score float32[?,3]
        one = Const value=1
        rows = Shape price
        shape = Pack one rows one one
        channels = Reshape price shape  shapes=[1,?,3,1]
        scale = Const
        normal = FusedBatchNormV3 channels scale scale scale scale  data_format='NCHW'
        score = Reshape normal rows
        """,
        """
        input image float32[?,5,5,3]
        output score float32[?,5,5,3]
        scale = Const
        score = FusedBatchNormV3 image scale scale scale scale  is_training=false
        unused = FusedBatchNormV3 image scale scale scale scale
        """,
        """
        input price float32[?,3]
        output score float32[?,3]
        axes = Const value=-1
        mean = Mean price axes T=float32
        score = SquaredDifference price mean  shapes=[?,3]
        """,
    ),
)


def check(export: Export) -> Iterator[Finding]:
    """Finds normalisations over the rows of the request."""
    for signature in export.inference():
        for place in export.trace(signature.name).live:
            if over_the_batch(export.reach(signature.name), place):
                yield RULE.finding(
                    f"{place} normalises by the statistics of the batch, so a row's score depends on its neighbours; "
                    "export it in inference mode (training=False)",
                    signature.name,
                    place.node.name,
                )


def over_the_batch(reach: Reach, place: Place) -> bool:
    """True for a batch normalisation in training mode, and for the variance over the first axis of a batch."""
    node = place.node
    if node.op.startswith("FusedBatchNorm") and "Grad" not in node.op:
        return node.attributes.get("is_training", True) is not False and _mixes_rows(reach.body(place.graph), node)
    return node.op == "SquaredDifference" and centred_mean(reach, place) is not None


def centred_mean(reach: Reach, place: Place) -> Optional[Node]:
    """The mean over the rows of a request that a SquaredDifference takes from those rows; None for any other."""
    graph = reach.body(place.graph)
    inputs = data_inputs(place.node)
    if place.graph in reach.repeated or len(inputs) != 2:
        return None
    rows, mean = inputs[0], _behind(graph, inputs[1])
    if mean is None or mean.op != "Mean" or len(data_inputs(mean)) != 2:
        return None
    averaged, axes = data_inputs(mean)
    numbers = integers(graph, axes)
    if numbers is None or 0 not in numbers or resolve(graph, averaged) != resolve(graph, rows):
        return None
    found = shape(graph, rows) or shape(graph, place.node.name)
    return mean if found and found[0] is None and reach.changes(graph, rows) else None


def _behind(graph: Graph, reference: str) -> Optional[Node]:
    """The node of a tensor, behind whatever only hands it on."""
    node = graph.nodes.get(resolve(graph, reference)[0])
    for _ in range(8):
        if node is None or node.op not in FORWARDS or not data_inputs(node):
            break
        node = graph.nodes.get(resolve(graph, data_inputs(node)[0])[0])
    return node


def _mixes_rows(graph: Graph, node: Node) -> bool:
    """Whether the axes that are averaged over hold rows. The channels, one statistic each, do not."""
    layout = node.attributes.get("data_format", b"NHWC")
    inputs = data_inputs(node)
    found = shape(graph, inputs[0]) if inputs else None
    if found is None or len(found) < 4:
        # Keras' LayerNormalization is NCHW behind a Reshape: where its shape is not known, that is no proof.
        source = graph.nodes.get(resolve(graph, inputs[0])[0]) if inputs else None
        return layout == b"NHWC" or source is None or source.op != "Reshape"
    averaged, channels = _split(found, layout)
    if averaged[0] != 1:
        return True
    return channels is not None and None in averaged[1:]


def _split(found: Shape, layout: object) -> Tuple[Tuple[Optional[int], ...], Optional[int]]:
    """The sizes that are averaged over, the first axis first, and the number of channels."""
    sizes = found or ()
    if layout in (b"NCHW", b"NCDHW"):
        return (sizes[0], *sizes[2:]), sizes[1]
    return sizes[:-1], sizes[-1]
