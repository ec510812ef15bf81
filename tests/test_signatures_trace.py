"""The tracer on graphs small enough to follow by eye: each expected set is read off the example."""

from __future__ import annotations

import time
from typing import FrozenSet, Set

import pytest

from signatures.examples import build
from signatures.export import INIT

HEAD = """
input a float32[?]
input b float32[?]
input m float32[?]
"""


def inputs(body: str, output: str = "score") -> FrozenSet[str]:
    """The inputs among a, b, m that can change an output of the signature."""
    return build(HEAD + body).trace("serving_default").inputs(output)


def running(body: str, signature: str = "serving_default") -> Set[str]:
    """Names of the nodes that run."""
    return {place.node.name for place in build(HEAD + body).trace(signature).running}


def live(body: str) -> Set[str]:
    """Names of the nodes that can change an output."""
    return {place.node.name for place in build(HEAD + body).trace("serving_default").live}


def test_every_data_input_of_an_op_counts() -> None:
    assert inputs("output score float32[?]\nscore = GatherV2 a b axis\naxis = Const") == {"a", "b"}


@pytest.mark.parametrize("op", ["Shape", "Size", "Rank", "ZerosLike", "OnesLike"])
def test_shape_of_a_tensor_carries_no_value(op: str) -> None:
    assert inputs(f"output score float32[?]\nsize = {op} m\nscore = BroadcastTo a size") == {"a"}


def test_value_used_as_a_shape_counts() -> None:
    assert inputs("output score float32[?]\nones = Fill m one\none = Const\nscore = Mul a ones") == {"a", "m"}


def test_control_input_carries_no_value() -> None:
    assert inputs("output score float32[?]\nscore = Identity a ^m") == {"a"}


def test_outputs_of_a_call_are_kept_apart() -> None:
    body = """
output first float32[?] = call
output second float32[?] = call:1
call = StatefulPartitionedCall a m f=@outer
function outer(x, y) -> inner:output:1, inner:output:0
  inner = PartitionedCall y x f=@inner
function inner(p, q) -> p, twice:z:0
  twice = AddV2 q q
"""
    # outer(x, y) calls inner(p=y, q=x), which returns (p, 2q) = (y, 2x); outer returns them swapped: (2x, y).
    assert inputs(body, "first") == {"a"}
    assert inputs(body, "second") == {"m"}


def test_identities_of_several_tensors_are_kept_apart() -> None:
    body = "output score float32[?] = both:1\nboth = IdentityN m a"
    assert inputs(body) == {"a"}


def test_predicate_counts_when_branches_differ() -> None:
    body = """
output score float32[?] = branch
branch = If m a b then_branch=@first else_branch=@second
function first(x, y) -> x
function second(x, y) -> y
"""
    assert inputs(body) == {"a", "b", "m"}


def test_predicate_does_not_count_when_branches_agree() -> None:
    """Assertions leave such conditionals: whichever branch runs, the output is the same argument."""
    body = """
output score float32[?] = branch
branch = StatelessIf m a b then_branch=@first else_branch=@second
function first(x, y) -> kept:output:0
  kept = Identity x
function second(x, y) -> call:output:0
  call = PartitionedCall y x f=@second_of
function second_of(p, q) -> q
"""
    assert inputs(body) == {"a"}


def test_predicate_counts_when_branches_are_constants() -> None:
    body = """
output score float32[?] = branch
branch = StatelessIf m then_branch=@one else_branch=@two
function one() -> value:output:0
  value = Const
function two() -> value:output:0
  value = Const
"""
    assert inputs(body) == {"m"}


def test_case_has_any_number_of_branches() -> None:
    body = """
output score float32[?] = branch
branch = StatelessCase m a b branches=@first,@second,@first
function first(x, y) -> x
function second(x, y) -> y
"""
    assert inputs(body) == {"a", "b", "m"}


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


def test_write_is_read_back() -> None:
    body = """
output score float32[?] = read
state = VarHandleOp shared_name='state'
write = StatefulPartitionedCall state m f=@keep
read = StatefulPartitionedCall state f=@look ^write
function keep(handle, x) -> ^assign
  assign = AssignVariableOp handle x
function look(handle) -> value:value:0
  value = ReadVariableOp handle
"""
    assert inputs(body) == {"m"}


def test_whether_a_write_happens_counts() -> None:
    body = """
output score float32[?] = read
state = VarHandleOp
branch = If m state then_branch=@set else_branch=@leave
read = ReadVariableOp state ^branch
function set(handle) -> ^assign
  assign = AssignVariableOp handle one:output:0
  one = Const
function leave(handle) -> ^nothing
  nothing = NoOp
"""
    assert inputs(body) == {"m"}


def test_write_of_one_variable_does_not_touch_another() -> None:
    body = """
output score float32[?] = read
state = VarHandleOp shared_name='state'
other = VarHandleOp shared_name='other'
write = AssignVariableOp state m
read = ReadVariableOp other ^write
"""
    assert inputs(body) == set()


def test_two_handles_of_one_shared_name_are_one_variable() -> None:
    body = """
output score float32[?] = read
state = VarHandleOp shared_name='state'
again = VarHandleOp shared_name='state'
write = AssignVariableOp state m
read = ReadVariableOp again ^write
"""
    assert inputs(body) == {"m"}


def test_write_of_another_signature_does_not_count() -> None:
    """A `train` signature writes the weights that `serving_default` reads: that is learning, not a leak."""
    body = """
output score float32[?] = read
state = VarHandleOp
read = ReadVariableOp state
signature train
input label float32[?]
output done float32[?]
write = AssignVariableOp state label
done = Identity label ^write
"""
    assert inputs(body) == set()


def test_table_insert_is_found_again() -> None:
    body = """
output score float32[?]
table = MutableHashTableV2
insert = LookupTableInsertV2 table a m
score = LookupTableFindV2 table b missing ^insert
missing = Const
"""
    assert inputs(body) == {"a", "b", "m"}


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


def test_fed_tensor_cuts_what_is_behind_it() -> None:
    """TF1 signatures may feed a tensor in the middle of the graph: its placeholder is then not needed."""
    body = """
input parsed float32[?] = parse:1
examples = Placeholder
parse = ParseExampleV2 examples
output score float32[?] = parse:1
"""
    assert inputs(body) == {"parsed"}
    assert "examples" not in running(body)


def test_function_called_by_its_name_as_op() -> None:
    body = "output score float32[?] = call\ncall = legacy a m\nfunction legacy(x, y) -> x ^log\n  log = PyFunc y\n"
    assert inputs(body) >= {"a"}
    assert "log" in running(body)


def test_list_argument_takes_several_inputs() -> None:
    """Three inputs for one list argument cannot be matched one by one: all of them may change the output."""
    body = "output score float32[?] = call\ncall = PartitionedCall a b m f=@one\nfunction one(xs) -> xs:1\n"
    assert inputs(body) == {"a", "b", "m"}


def test_unknown_op_with_a_function_is_taken_for_the_worst() -> None:
    body = """
output score float32[?] = mapped
mapped = MapDefun a m f=@each
function each(x, y) -> noise:output:0 ^log
  noise = RandomUniform x
  log = PyFunc y
"""
    assert inputs(body) == {"a", "m"}
    assert {"noise", "log"} <= running(body)
    assert "noise" in live(body) and "log" not in live(body)


def test_what_runs_follows_control_and_control_returns() -> None:
    body = """
output score float32[?] = call
call = StatefulPartitionedCall a m f=@outer ^before
before = NoOp
after = NoOp ^call
function outer(x, y) -> x ^counted
  counted = StatefulPartitionedCall y f=@inner
  pruned = Mul y y
function inner(y) -> ^log
  log = PyFunc y
"""
    assert running(body) == {"call", "before", "counted", "log"}
    assert live(body) == {"call"}


def test_branch_not_demanded_is_not_live() -> None:
    body = """
output score float32[?] = call
call = PartitionedCall a f=@two
function two(x) -> x, noisy:z:0
  noise = RandomUniform x
  noisy = Mul x noise:output:0
"""
    assert live(body) == {"call"}


def test_loop_makes_live_what_its_variables_need() -> None:
    body = """
output score float32[?] = loop
loop = StatelessWhile a b m m cond=@going body=@step
function going(x, y, z, other) -> limit:output:0
  limit = Const
function step(x, y, z, other) -> y, z, noise:output:0, more:output:0
  noise = RandomUniform x
  more = RandomNormal other
"""
    # The score is x, x takes y, y takes z, z is noise, and the limit says how often; `other` is nobody's.
    assert live(body) == {"loop", "noise", "limit"}


def test_init_runs_apart_from_signatures() -> None:
    body = "output score float32[?] = a\ninit setup\nsetup = NoOp ^load\nload = InitializeTableV2 table keys keys\n"
    body += "table = HashTableV2\nkeys = Const\n"
    assert running(body) == set()
    assert running(body, INIT) == {"setup", "load", "table", "keys"}


def test_deep_and_wide_calls_end() -> None:
    """5,000 nested calls overflow a recursive tracer; 60 functions calling the next twice are 2^60 paths."""
    deep = ["output score float32[?] = call", "call = PartitionedCall a m f=@f0"]
    deep += [f"function f{n}(x, y) -> call:output:0\n  call = PartitionedCall x y f=@f{n + 1}" for n in range(5000)] + [
        "function f5000(x, y) -> sum:z:0\n  sum = AddV2 x y"
    ]
    wide = ["output score float32[?] = call", "call = PartitionedCall a m f=@f0"]
    wide += [
        f"function f{n}(x, y) -> second:output:0, first:output:1\n  first = PartitionedCall x y f=@f{n + 1}\n"
        f"  second = PartitionedCall first:output:1 first:output:0 f=@f{n + 1}"
        for n in range(60)
    ] + ["function f60(x, y) -> y, x"]
    started = time.process_time()
    assert inputs("\n".join(deep)) == {"a", "m"}
    assert len(inputs("\n".join(wide))) == 1
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ("output score float32[?] = call\ncall = PartitionedCall a m f=@f\n"
         "function f(x, y) -> out:z:0\n  cast = Cast y\n  out = Mul x cast:y:0\n", " at Mul 'out' of function f"),
        ("output score float32[?]\nkept = Identity m\nscore = Mul a kept", " at Mul 'score'"),
        ("output score float32[?] = m", ""),
        ("output score float32[?] = read\nstate = VarHandleOp\nwrite = AssignVariableOp state m\n"
         "read = ReadVariableOp state ^write", " through a variable that the same request writes"),
        ("output score float32[?] = branch\nbranch = If m a then_branch=@f else_branch=@g\n"
         "function f(x) -> x\nfunction g(x) -> y:z:0\n  y = Mul x x", " at If 'branch'"),
    ],
)  # fmt: skip
def test_place_where_an_input_enters(body: str, place: str) -> None:
    export = build(HEAD + body)
    signature = export.model.signatures["serving_default"]
    assert export.where(signature, "score", "m") == place
