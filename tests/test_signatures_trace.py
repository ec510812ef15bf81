"""The tracer on graphs small enough to follow by eye: each expected set is read off the example."""

from __future__ import annotations

from dataclasses import replace

import pytest

from signatures.examples import build
from signatures.trace import Tracer
from tests.traced_examples import HEAD, inputs, live, running


def test_every_data_input_of_an_op_counts() -> None:
    assert inputs("output score float32[?]\nscore = GatherV2 a b axis\naxis = Const") == {"a", "b"}


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


@pytest.mark.parametrize("op", ["Print", "CheckNumerics", "StopGradient", "EnsureShape"])
def test_op_that_hands_on_its_first_input_hands_on_nothing_else(op: str) -> None:
    assert inputs(f"output score float32[?]\nscore = {op} a m") == {"a"}


@pytest.mark.parametrize("op", ["XlaLaunch", "XlaLaunchV2"])
def test_launch_of_a_compiled_cluster_is_a_call(op: str) -> None:
    body = f"output score float32[?] = call:1\ncall = {op} a m function=@cluster\n"
    assert inputs(body + "function cluster(x, y) -> y, twice:z:0\n  twice = AddV2 x x\n") == {"a"}


@pytest.mark.parametrize(
    "call",
    [
        "call = TPUPartitionedCall a m core f=@f\ncore = Const",  # one input more than arguments: the core
        "call = RemoteCall target a m f=@f\ntarget = Const",
        "call = XlaIf b a m then_branch=@f else_branch=@f",
        "call = SymbolicGradient a m f=@f",
        "call = XlaWhile a m cond=@f body=@f",
    ],
)
def test_call_that_passes_what_it_likes_may_pass_everything(call: str) -> None:
    body = f"output score float32[?] = call\n{call}\nfunction f(x, y) -> x, z:z:0\n  z = Mul x y\n"
    assert inputs(body) >= {"a", "m"}


def test_every_tensor_of_a_sparse_output_counts() -> None:
    body = "output score float32[?] = kept\nkept = Mul a b\nplaces = Where m\n"
    export = build(HEAD + body)
    signature = export.model.signatures["serving_default"]
    sparse = replace(signature.outputs["score"], tensors=("kept:0", "places:0"))
    assert Tracer(export.model).signature(replace(signature, outputs={"score": sparse})).inputs("score") == set("abm")
