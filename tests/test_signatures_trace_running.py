"""The tracer on what a request runs, and which of it can change an output."""

from __future__ import annotations

from signatures.export import INIT
from tests.traced_examples import live, running


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


def test_what_only_gives_a_shape_is_not_live() -> None:
    body = """
output score float32[?]
noise = RandomUniform a
dropped = Mul b noise
rows = Shape dropped
score = BroadcastTo a rows
"""
    assert live(body) == {"score", "rows"}


def test_what_decides_a_shape_is_live() -> None:
    """How many cells are kept is random, and the shape says it."""
    body = """
output score float32[?]
noise = RandomUniform m
keep = Greater noise b
kept = Where keep
rows = Shape kept
score = Mul a rows
"""
    assert live(body) == {"score", "rows", "kept", "keep", "noise"}


def test_shape_is_asked_for_through_calls_and_branches() -> None:
    body = """
output score float32[?]
call = PartitionedCall m b f=@outer
rows = Shape call
score = Mul a rows
function outer(x, y) -> branch:output:0
  noise = RandomUniform x
  branch = If noise:output:0 x y then_branch=@keep else_branch=@all
function keep(x, y) -> kept:index:0
  drawn = RandomUniform x
  kept = Where drawn:output:0
function all(x, y) -> doubled:z:0
  unseen = RandomUniform x
  doubled = Mul y unseen:output:0
"""
    # The branch is chosen by noise, and where it keeps, what is drawn says how much. What is multiplied says nothing.
    assert live(body) == {"score", "rows", "call", "branch", "noise", "kept", "drawn"}
