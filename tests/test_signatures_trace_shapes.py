"""The tracer and shapes: how many rows were asked for is nobody's value, how many a mask keeps is the mask's."""

from __future__ import annotations

import pytest

from tests.traced_examples import inputs


@pytest.mark.parametrize("op", ["Shape", "Size", "Rank", "ZerosLike", "OnesLike"])
def test_shape_of_a_tensor_carries_no_value(op: str) -> None:
    assert inputs(f"output score float32[?]\nsize = {op} m\nscore = BroadcastTo a size") == {"a"}


def test_value_used_as_a_shape_counts() -> None:
    assert inputs("output score float32[?]\nones = Fill m one\none = Const\nscore = Mul a ones") == {"a", "m"}


def test_shape_of_what_a_mask_keeps_carries_the_mask() -> None:
    body = "output score float32[?]\nplaces = Where m\nkept = GatherV2 b places axis\naxis = Const\n"
    assert inputs(body + "rows = Shape kept\nscore = Mul a rows") == {"a", "m"}
    assert inputs(body + "ones = OnesLike kept\ntotal = Sum ones axis\nscore = Mul a total") == {"a", "m"}
    assert inputs(body + "ones = OnesLike kept\nrank = Rank ones\nscore = Mul b rank") == {"b", "m"}


def test_shape_given_by_a_value_counts_once_it_is_looked_at() -> None:
    body = "output score float32[?]\nfilled = Reshape b m\nrows = Shape filled\nscore = Mul a rows"
    assert inputs(body) == {"a", "m"}
    assert inputs(body.replace("Reshape b m", "Mul b m")) == {"a"}


def test_shape_of_a_shape_is_known_beforehand() -> None:
    assert inputs("output score float32[?]\np = Where m\ns = Shape p\nr = Shape s\nscore = Mul a r") == {"a"}


def test_shape_goes_through_calls_like_a_value() -> None:
    body = """
output score float32[?]
kept = PartitionedCall b m f=@keep
rows = PartitionedCall kept f=@count
score = Mul a rows
function keep(x, mask) -> found:z:0
  places = Where mask
  found = GatherNd x places:index:0
function count(x) -> size:output:0
  doubled = Mul x x
  size = Size doubled:z:0
"""
    assert inputs(body) == {"a", "m"}
    # Counting b, without keeping some of it, says how many rows were asked for.
    assert inputs(body.replace("PartitionedCall kept", "PartitionedCall b")) == {"a"}


def test_shape_grown_in_a_loop_says_how_many_turns_there_were() -> None:
    body = """
output score float32[?]
loop = StatelessWhile a a m cond=@going body=@step
rows = Size loop
score = Mul b rows
function going(grown, x, y) -> less:z:0
  less = Less x y
function step(grown, x, y) -> longer:output:0, x, y
  axis = Const
  longer = ConcatV2 grown grown axis:output:0
"""
    assert inputs(body) == {"a", "b", "m"}


def test_shape_of_a_branch_depends_on_which_was_taken() -> None:
    body = """
output score float32[?]
branch = StatelessIf m a b then_branch=@first else_branch=@second
rows = Size branch
score = Mul a rows
function first(x, y) -> x
function second(x, y) -> both:output:0
  axis = Const
  both = ConcatV2 y y axis:output:0
"""
    assert inputs(body) == {"a", "m"}


def test_op_that_nobody_knows_may_give_any_shape() -> None:
    assert inputs("output score float32[?]\nx = Mine>Filter b m\ns = Size x\nscore = Mul a s") == {"a", "b", "m"}
