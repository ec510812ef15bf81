"""The tracer in loops, of TF2 and of TF1: what starts in one variable may need several turns to reach another."""

from __future__ import annotations

import pytest

from tests.traced_examples import inputs

LOOP = """
output score float32[?] = loop:{output}
loop = StatelessWhile zero a b m cond=@going body=@step
zero = Const
function going(i, x, y, z) -> less:z:0
  less = Less i {bound}
  limit = Const
function step(i, x, y, z) -> next:z:0, y, z, z
  next = AddV2 i one:output:0
  one = Const
"""


def test_loop_needs_two_turns_to_bring_a_source() -> None:
    """x takes y, y takes z: what starts in z is in x after two turns."""
    assert inputs(LOOP.format(output=1, bound="limit:output:0")) == {"a", "b", "m"}
    assert inputs(LOOP.format(output=2, bound="limit:output:0")) == {"b", "m"}


def test_loop_settles_whatever_the_order_of_its_variables() -> None:
    """1 <- 4 <- 2 <- 5 <- 3 <- 6: what starts in 6 comes to 1 after five turns, up and down the list."""
    body = """
output score float32[?] = loop
loop = StatelessWhile a a a a a m cond=@going body=@step
function going(p1, p2, p3, p4, p5, p6) -> limit:output:0
  limit = Const
function step(p1, p2, p3, p4, p5, p6) -> p4, p5, p6, p2, p3, p6
"""
    assert inputs(body) == {"a", "m"}


def test_number_of_turns_may_come_from_a_later_turn() -> None:
    """The condition looks at p1, which takes p2, which takes p3."""
    body = """
output score float32[?] = loop:3
loop = StatelessWhile a a m b cond=@going body=@step
function going(p1, p2, p3, p4) -> p1
function step(p1, p2, p3, p4) -> p2, p3, p3, next:z:0
  next = AddV2 p4 p4
"""
    assert inputs(body) == {"a", "b", "m"}


def test_loop_that_keeps_a_variable_in_one_branch_only_changes_it() -> None:
    body = """
output score float32[?] = loop
loop = StatelessWhile a m cond=@going body=@step
function going(x, y) -> limit:output:0
  limit = Const
function step(x, y) -> branch:output:0, y
  branch = StatelessIf flag:output:0 x y then_branch=@first else_branch=@second
  flag = Const
function first(x, y) -> x
function second(x, y) -> y
"""
    assert inputs(body) == {"a", "m"}


def test_number_of_turns_counts_for_what_the_loop_changes() -> None:
    assert inputs(LOOP.format(output=0, bound="z")) == {"m"}
    assert inputs(LOOP.format(output=0, bound="limit:output:0")) == set()


def test_number_of_turns_does_not_count_for_what_the_loop_keeps() -> None:
    body = """
output score float32[?] = loop:1
loop = While m a cond=@going body=@step
function going(i, x) -> i
function step(i, x) -> less:z:0, same:output:0
  less = Sub i i
  same = Identity x
"""
    assert inputs(body) == {"a"}


def test_tf1_branch_of_constants_depends_on_its_predicate() -> None:
    """tf.cond of TF1: the constants hang on the Switch by control inputs alone."""
    body = """
output score float32[?] = merge
switch = Switch m m
yes = Identity switch:1
no = Identity switch
one = Const ^yes
two = Const ^no
merge = Merge one two
"""
    assert inputs(body) == {"m"}


@pytest.mark.parametrize("output", ["first", "second"])
def test_tf1_loop_is_followed_round(output: str) -> None:
    """Two variables that change places at each turn: both come from both."""
    body = """
output first float32[?] = exit_x
output second float32[?] = exit_y
limit = Const
going = LoopCond limit
enter_x = Enter a
enter_y = Enter m
merge_x = Merge enter_x next_x
merge_y = Merge enter_y next_y
switch_x = Switch merge_x going
switch_y = Switch merge_y going
body_x = Identity switch_x:1
body_y = Identity switch_y:1
next_x = NextIteration body_y
next_y = NextIteration body_x
exit_x = Exit switch_x
exit_y = Exit switch_y
"""
    assert inputs(body, output) == {"a", "m"}
