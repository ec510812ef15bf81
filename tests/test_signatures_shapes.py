"""What is read of static shapes, of small constants, and of what a request can change inside functions."""

from __future__ import annotations

from typing import Any, Tuple

import pytest

from signatures import protos
from signatures.aliases import uses
from signatures.examples import build
from signatures.graphs import nodes
from signatures.saved_model import Graph
from signatures.shapes import integers, shape


def constant(**fields: Any) -> Any:
    """The value of a Const, written as TensorFlow may write it."""
    graph = protos.message("tensorflow.GraphDef")()
    node = graph.node.add(name="c", op="Const")
    tensor = node.attr["value"].tensor
    tensor.dtype = fields.pop("dtype", 3)
    for size in fields.pop("sizes", ()):
        tensor.tensor_shape.dim.add(size=size)
    for name, value in fields.items():
        if isinstance(value, bytes):
            setattr(tensor, name, value)
        else:
            getattr(tensor, name).extend(value)
    return integers(Graph("", nodes(graph.node, "the graph")), "c")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"int_val": [7]}, (7,)),  # a scalar
        ({"int_val": [1, -1], "sizes": [2]}, (1, -1)),
        ({"int_val": [5], "sizes": [3]}, (5, 5, 5)),  # the last one is repeated
        ({"sizes": [2]}, (0, 0)),  # none at all means zero
        ({"sizes": [0]}, ()),
        ({"int64_val": [2**40], "dtype": 9}, (2**40,)),
        ({"tensor_content": b"\1\0\0\0\2\0\0\0", "sizes": [2]}, (1, 2)),  # little endian
        ({"tensor_content": b"\1\0", "sizes": [1]}, (0,)),  # cut short: nothing can be read of it
        ({"float_val": [1.0], "dtype": 1}, None),
        ({"int_val": [1], "sizes": [2**40, 2**40]}, None),
        ({"int_val": [1], "sizes": [-1]}, None),
    ],
)
def test_whole_numbers_of_a_constant(fields: Any, expected: Any) -> None:
    assert constant(**fields) == expected


def test_packed_numbers_are_known_one_by_one() -> None:
    graph = build("one = Const value=1\nrows = Shape one\nall = Pack one rows one\nsame = Identity all").model.graph
    assert integers(graph, "same") == (1, None, 1)
    assert integers(graph, "rows") is None


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("told:0", (None, 3)),
        ("told:1", (3,)),
        ("fed", (None,)),
        ("turned", (1, None)),
        ("unknown", None),
        ("absent", None),
    ],
)
def test_static_shape(reference: str, expected: Any) -> None:
    example = """
    told = Split shapes=[?,3]|[3]
    fed = Placeholder shape=[?]
    to = Const value=1,-1
    turned = Reshape fed to
    unknown = Neg fed
    """
    assert shape(build(example).model.graph, reference) == expected


def test_request_is_followed_into_functions_but_not_into_loops_of_rows() -> None:
    export = build(
        """
        input price float32[?]
        output score float32[?] = call
        weights = VarHandleOp
        read = ReadVariableOp weights
        call = PartitionedCall price read f=@outer
        function outer(x, w) -> both:z:0
          inner = PartitionedCall w x f=@inner
          turns = While x cond=@condition body=@body
          both = Mul inner:output:0 turns:output:0
        function inner(v, y) -> z:z:0
          z = Mul v y
        function condition(t) -> less:z:0
          less = Less t t
        function body(t) -> next:y:0
          next = Neg t
        """
    )
    reach = export.reach("serving_default")
    inner = reach.body("inner")
    assert (reach.changes(inner, "v"), reach.changes(inner, "y"), reach.changes(inner, "z:z:0")) == (False, True, True)
    assert reach.repeated == {"condition", "body"}


def test_function_that_is_passed_something_else_may_be_passed_anything() -> None:
    """An op that counts its function's arguments in its own way: whatever it passes may come from its inputs."""
    export = build(
        """
        input price float32[?]
        output score float32[?]
        score = MapDefun price f=@row
        function row(first, second) -> second
        """
    )
    reach = export.reach("serving_default")
    assert reach.changes(reach.body("row"), "second")
    assert reach.repeated == {"row"}


def taken(example: str) -> Tuple[Tuple[str, int, bool], ...]:
    """(op, position, is id) of the ops that take `price`, as it is or as an id."""
    export = build(example)
    export.trace("serving_default")
    tensors = export.model.signatures["serving_default"].inputs["price"].tensors
    found = uses(export.tracer().library, export.model.graph, tensors)
    return tuple(sorted((use.place.node.op, use.position, use.is_id) for use in found))


def test_value_is_followed_while_it_is_the_inputs_own() -> None:
    example = """
    input price float32[?]
    output score float32[?] = call
    call = PartitionedCall price f=@give_back
    again = Cast call:0 DstT=int64
    rows = GatherV2 again again
    tens = RealDiv price price
    bucket = Cast tens DstT=int64
    unseen = GatherV2 bucket bucket
    function give_back(x) -> flat:output:0
      flat = Reshape x x
    """
    assert taken(example) == (
        ("Cast", 0, False),
        ("GatherV2", 0, True),
        ("GatherV2", 1, True),
        ("PartitionedCall", 0, False),
        ("RealDiv", 0, False),
        ("RealDiv", 1, False),
        ("Reshape", 0, False),
        ("Reshape", 1, False),
    )
