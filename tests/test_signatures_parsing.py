"""Signatures that take serialized tf.Examples: the keys parsed out of them are what clients give."""

from __future__ import annotations

from typing import Dict, FrozenSet, List

import pytest

from signatures.examples import build
from signatures.export import Export
from signatures.lint import check

V2 = """
input examples string[?]
names = Const value=
sparse_keys = Const value='tags'
dense_keys = Const value='price','mask'
ragged_keys = Const value='history'
default = Const value=1
none = Const value=
parse = ParseExampleV2 examples names sparse_keys dense_keys ragged_keys none default
"""


def keys(example: str) -> Dict[str, FrozenSet[str]]:
    """The keys that change each output."""
    trace = build(example).trace("serving_default")
    return {output: trace.keys(output) for output in trace.influences}


def found(export: Export, code: str) -> List[str]:
    return [finding.message for finding in check(export) if finding.rule == code]


@pytest.mark.parametrize(
    ("place", "key"),
    # Indices, values and shape of the sparse one, then the dense ones, then values and splits of the ragged one.
    [(0, "tags"), (1, "tags"), (2, "tags"), (3, "price"), (4, "mask"), (5, "history"), (6, "history")],
)
def test_each_output_of_a_parser_is_its_key(place: int, key: str) -> None:
    assert keys(f"{V2}output score float32[?] = parse:{place}") == {"score": {key}}


def test_output_in_a_function_is_named_with_its_section() -> None:
    body = """
input examples string[?]
output score float32[?] = call
output length int64[?] = call:1
call = PartitionedCall examples f=@parse
function parse(serialized) -> dense:dense_values:1, dense:ragged_row_splits:0
  names = Const value=
  dense_keys = Const value='price','mask'
  ragged_keys = Const value='history'
  dense = ParseExampleV2 serialized names:output:0 names:output:0 dense_keys:output:0 ragged_keys:output:0 names names
"""
    assert keys(body) == {"score": {"mask"}, "length": {"history"}}


def test_first_version_has_an_input_for_each_key() -> None:
    body = """
input examples string[?]
output score float32[?] = parse:4
names = Const value=
first = Const value='tags'
second = Const value='price'
third = Const value='mask'
none = Const value=
parse = ParseExample examples names first second third none none Nsparse=1 Ndense=2
"""
    assert keys(body) == {"score": {"mask"}}


def test_keys_that_the_graph_computes_are_not_known_and_the_input_counts_as_a_whole() -> None:
    export = build(V2.replace("dense_keys = Const value='price','mask'", "dense_keys = Placeholder") + SCORE)
    assert export.trace("serving_default").inputs("score") == {"examples"}
    assert export.trace("serving_default").keys("score") == frozenset()
    assert [each.name for each in export.given(export.model.signatures["serving_default"])] == ["examples"]


SCORE = "output score float32[?]\nscore = Mul parse:3 parse:4\n"


def test_mask_among_the_keys_is_named_with_its_place() -> None:
    (message,) = found(build(V2 + SCORE), "SIG101")
    assert "key 'mask' of the tf.Examples in input 'examples' changes output 'score' at Mul 'score'" in message


def test_input_of_examples_need_not_be_declared_but_its_keys_must() -> None:
    assert found(build(f"{V2}{SCORE}features price mask"), "SIG102") == []
    (message,) = found(build(f"{V2}{SCORE}features price"), "SIG102")
    assert "key 'mask'" in message


def test_key_that_nothing_reads_is_a_burden_unless_it_has_a_default() -> None:
    """mask has a default, price has none, and nothing reads either: clients may leave out mask."""
    (message,) = found(build(f"{V2}output length int64[?] = parse:6"), "SIG104")
    assert "key 'price'" in message


def test_rows_of_a_dense_key_are_those_asked_for_and_the_length_of_a_list_is_its_value() -> None:
    body = "rows = Shape parse:{}\noutput size int32[?] = rows\n"
    assert keys(V2 + body.format(3)) == {"size": frozenset()}
    assert keys(V2 + body.format(1)) == {"size": {"tags"}}


@pytest.mark.parametrize(
    "parse",
    [
        "ParseExampleV2 examples",
        "ParseExampleV2 examples names sparse_keys dense_keys ragged_keys",
        "ParseExample examples names Nsparse=5 Ndense=-1",
        "ParseExample examples names dense_keys Nsparse=1 Ndense=9999999",
        "ParseSingleExample examples",
        "ParseExampleV2",
    ],
)
def test_parser_that_contradicts_itself_is_an_ordinary_op(parse: str) -> None:
    text = "\n".join(line for line in V2.splitlines() if not line.startswith("parse"))
    assert keys(f"{text}\nparse = {parse}\noutput score float32[?] = parse") == {"score": frozenset()}
