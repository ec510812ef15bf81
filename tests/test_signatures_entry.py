"""Where an input meets the computation: the place that a message names."""

from __future__ import annotations

import pytest

from signatures.examples import build
from tests.traced_examples import HEAD


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
