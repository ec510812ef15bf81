"""The tracer through what a model keeps: variables, tables, stacks, iterators, the keys of one request and the next."""

from __future__ import annotations

import pytest

from tests.traced_examples import inputs


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


@pytest.mark.parametrize(
    "body",
    [
        "state = StackV2 size\nsize = Const\nput = StackPushV2 state m\nscore = StackPopV2 state ^put",
        "state = MutableDenseHashTableV2 key key\nkey = Const\nput = LookupTableInsertV2 state a m\n"
        "score = LookupTableFindV2 state key ^put",
        "state = AnonymousIteratorV3\nrows = TensorSliceDataset m\nput = MakeIterator rows state\n"
        "score = IteratorGetNext state ^put",
        "state = TFRA>CuckooHashTableOfTensors\nput = TFRA>CuckooHashTableInsert state a m\n"
        "score = TFRA>CuckooHashTableFind state a ^put",
        "state = FIFOQueueV2\nput = QueueEnqueueV2 state m\nscore = QueueDequeueV2 state ^put",
        "state = TemporaryVariable\nput = Assign state m\nscore = Identity put",
    ],
    ids=["stack", "dense table", "iterator", "custom table", "queue", "temporary variable"],
)
def test_what_is_put_somewhere_is_taken_out_again(body: str) -> None:
    assert "m" in inputs(f"output score float32[?]\n{body}")


def test_handle_passed_through_a_loop_and_a_branch_is_the_same_variable() -> None:
    body = """
output score float32[?] = read
state = VarHandleOp
loop = While state m cond=@going body=@step
read = ReadVariableOp state ^loop
function going(handle, x) -> limit:output:0
  limit = Const
function step(handle, x) -> handle, x ^branch
  branch = If x handle x then_branch=@set else_branch=@leave
function set(handle, x) -> ^assign
  assign = AssignVariableOp handle x
function leave(handle, x) -> ^nothing
  nothing = NoOp
"""
    assert inputs(body) == {"m"}
