"""Which changes of a signature break the clients of the old version."""

from __future__ import annotations

from pathlib import Path
from typing import List, Tuple

import pytest

from signatures.diff import CODES, allows, compare, diff
from signatures.examples import build
from tests.saved_model_files import message, save, write

OLD = """
    input price float32[?]
    input ids int64[?,?]
    output score float32[?] = price
    output vector float32[?,8] = price
    signature rank
    input price float32[?]
    output score float32[?,?] = price
    """


def changes(new: str, old: str = OLD) -> List[Tuple[str, str]]:
    """(what, severity) of each finding, in order."""
    found = compare(build(old).model, build(new).model)
    return [(CODES[each.rule], each.severity) for each in found]


def test_same_model_has_no_changes() -> None:
    assert changes(OLD) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("input ids int64[?,?]\n    ", "", [("removed_input", "error")]),
        ("output vector float32[?,8] = price\n    ", "", [("removed_output", "error")]),
        ("input ids int64[?,?]\n", "input ids int64[?,?]\n    input k int32[?]\n", [("added_input", "error")]),
        ("input ids int64[?,?]\n", "input item int64[?,?]\n", [("removed_input", "error"), ("added_input", "error")]),
        ("input ids int64", "input ids string", [("changed_dtype", "error")]),
        ("output score float32[?] ", "output score float64[?] ", [("changed_dtype", "error")]),
        ("input ids int64[?,?]", "input ids int64[?,50]", [("changed_shape", "error")]),
        ("input ids int64[?,?]", "input ids int64[?]", [("changed_shape", "error")]),
        ("input ids int64[?,?]", "input ids int64", [("changed_shape", "info")]),
        ("output vector float32[?,8]", "output vector float32[?,?]", [("changed_shape", "warning")]),
        ("output vector float32[?,8]", "output vector float32[?]", [("changed_shape", "error")]),
        ("output score float32[?] ", "output score float32[7] ", [("changed_shape", "info")]),
        ("signature rank", "signature order", [("removed_signature", "error"), ("added_signature", "info")]),
        ("output vector", "output more float32[?] = price\n    output vector", [("added_output", "info")]),
        (
            "output score float32[?,?] = price",
            "output score float32[?,?] = price\n    output more float32[?] = price",
            [("added_output", "error")],  # rank had one output, and REST told its value without a name
        ),
    ],
)
def test_change_is_found(before: str, after: str, expected: List[Tuple[str, str]]) -> None:
    assert before in OLD
    assert changes(OLD.replace(before, after)) == expected


def test_change_of_method_is_found() -> None:
    new = build(OLD).model
    signatures = dict(new.signatures)
    signatures["rank"] = type(signatures["rank"])(
        "rank", "tensorflow/serving/classify", signatures["rank"].inputs, signatures["rank"].outputs
    )
    changed = type(new)(new.path, new.tags, signatures, new.graph, new.functions)
    (finding,) = compare(build(OLD).model, changed)
    assert (CODES[finding.rule], finding.severity, finding.signature) == ("changed_method", "error", "rank")


def test_added_input_with_default_breaks_rest_only(tmp_path: Path) -> None:
    new = message(OLD.replace("input ids int64[?,?]", "input ids int64[?,?]\n    input k int32[]"))
    new.meta_graphs[0].signature_def["serving_default"].defaults["k"].int_val.append(10)
    (finding,) = diff(write(tmp_path / "old", OLD), save(tmp_path / "new", new))
    assert (CODES[finding.rule], finding.severity, finding.tensor) == ("added_input", "warning", "k")


def test_messages_say_what_and_what_to_do() -> None:
    new = OLD.replace("input ids int64[?,?]", "input ids int64[?,50]")
    (finding,) = compare(build(OLD).model, build(new).model)
    assert finding.message == "input 'ids' was [?, ?] and is [?, 50], which is narrower; keep the shape"


def test_shapes_allow_what_they_say() -> None:
    assert allows(None, (1, 2)) and allows((None, 2), (3, 2)) and allows((None,), (None,)) and allows(None, None)
    assert not allows((2,), None) and not allows((2,), (None,)) and not allows((None,), (None, None))
