"""Every compatibility rule against its own examples, and the comparison as a whole."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any, List, Tuple

import pytest

from signatures import cards, changes
from signatures.changes.versions import Versions, allows, similarity
from signatures.diff import compare, diff
from signatures.examples import build
from signatures.findings import SEVERITIES
from signatures.manifest import Data, Feature, Manifest, write
from tests import saved_model_files
from tests.rule_examples import cases
from tests.saved_model_files import message, save

MODULES = {module.RULE.code: module for module in changes.load()}

OLD = """
    input price float32[?]
    input ids int64[?,?]
    output score float32[?] = price
    output vector float32[?,8] = price
    signature rank
    input price float32[?]
    output score float32[?,?] = price
    """


def versions(text: str) -> Versions:
    """The two models of an example."""
    old, line, new = textwrap.dedent(text).partition("---\n")
    assert line, f"an example of a change has a line of three dashes: {text}"
    return Versions(build(old), build(new))


@pytest.mark.parametrize(("code", "example"), cases(MODULES, "bad"))
def test_bad_example_is_found_and_told(code: str, example: str) -> None:
    found = list(MODULES[code].check(versions(example)))
    assert found and {each.rule for each in found} == {code}
    for each in found:
        told, cure = each.told_and_cure()
        assert told and each.severity in SEVERITIES
        assert cure or each.severity == "info", each.message
        assert each.tensor is None or each.tensor in each.message
        assert "{" not in each.message and "\n" not in each.message


@pytest.mark.parametrize(("code", "example"), cases(MODULES, "good"))
def test_good_example_is_clean(code: str, example: str) -> None:
    assert list(MODULES[code].check(versions(example))) == []


@pytest.mark.parametrize("code", MODULES)
def test_card_says_what_it_means_for_client_and_server(code: str) -> None:
    card = cards.card(code)
    assert set(card.sections) == {"Why", "Client", "Server", "Bad", "Good"}
    assert MODULES[code].__name__ == f"signatures.changes.{code.lower()}_{card.rule.name}"
    assert card.rule.bad and card.rule.good


def test_every_file_is_listed() -> None:
    folder = Path(changes.__file__).parent
    assert sorted(path.stem for path in folder.glob("sig*.py")) == sorted(changes.NAMES)
    assert len(MODULES) == len(changes.NAMES)


def found(new: str, old: str = OLD) -> List[Tuple[str, str]]:
    """(what, severity) of each finding, in order."""
    return [(MODULES[each.rule].RULE.name, each.severity) for each in compare(build(old), build(new))]


def test_same_model_has_no_changes() -> None:
    assert found(OLD) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("input ids int64[?,?]\n    ", "", [("removed_input", "error")]),
        ("output vector float32[?,8] = price\n    ", "", [("removed_output", "error")]),
        ("input ids int64[?,?]\n", "input ids int64[?,?]\n    input k int32[?]\n", [("added_input", "error")]),
        ("input ids int64[?,?]\n", "input zone int64[?,?]\n", [("removed_input", "error"), ("added_input", "error")]),
        ("input ids int64[?,?]\n", "input item_ids int64[?,?]\n", [("renamed_input", "error")]),
        ("output vector float32", "output vectors float32", [("renamed_output", "error")]),
        ("input ids int64", "input ids string", [("changed_dtype", "error")]),
        ("output score float32[?] ", "output score float64[?] ", [("changed_dtype", "error")]),
        ("input ids int64[?,?]", "input ids int64[?,50]", [("changed_shape", "error")]),
        ("input ids int64[?,?]", "input ids int64[?]", [("changed_shape", "error")]),
        ("input ids int64[?,?]", "input ids int64", [("changed_shape", "info")]),
        ("output vector float32[?,8]", "output vector float32[?,?]", [("changed_shape", "warning")]),
        ("output vector float32[?,8]", "output vector float32", [("changed_shape", "warning")]),
        ("output vector float32[?,8]", "output vector float32[?]", [("changed_shape", "error")]),
        ("output score float32[?] ", "output score float32[7] ", [("changed_shape", "info")]),
        ("signature rank", "signature order", [("removed_signature", "error"), ("added_signature", "info")]),
        ("signature rank", "signature ranking", [("renamed_signature", "error")]),
        ("signature rank", "signature rank\n    method tensorflow/serving/classify", [("changed_method", "error")]),
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
    assert found(OLD.replace(before, after)) == expected


def test_renaming_is_guessed_once_and_for_the_most_alike() -> None:
    """Two went and two came: each is taken for the one it is most like, and what is left is removed and added."""
    old = "input user int64[?]\ninput item int64[?]\ninput age int64[?]\noutput score float32[?] = user\n"
    new = "input user_id int64[?]\ninput item_id int64[?]\ninput price int64[?]\noutput score float32[?] = user_id\n"
    told = compare(build(old), build(new))
    assert [(each.rule, each.tensor) for each in told] == [
        ("SIG502", "age"),
        ("SIG504", "price"),
        ("SIG510", "item"),
        ("SIG510", "user"),
    ]
    assert "'item' is gone and 'item_id' has" in told[2].message


def test_name_is_taken_once() -> None:
    """Two went that are like the one that came: the more alike is renamed, and the other is gone."""
    old = "input user int64[?]\ninput users int64[?]\noutput score float32[?] = user\n"
    new = "input user2 int64[?]\noutput score float32[?] = user2\n"
    told = compare(build(old), build(new))
    assert [(each.rule, each.tensor) for each in told] == [("SIG502", "users"), ("SIG510", "user")]


def test_another_dtype_is_no_renaming() -> None:
    new = OLD.replace("input ids int64[?,?]", "input item_ids string[?,?]")
    assert found(new) == [("removed_input", "error"), ("added_input", "error")]


def test_similarity_of_names() -> None:
    """By hand: the letters of user and user_id are 2 * 4 of 11; words in another order are the same words."""
    assert similarity("user", "user_id") == pytest.approx(0.8)  # a word more: more than 8 / 11 = 0.727
    assert similarity("userId", "user_id") == similarity("id_user", "user_id") == 1.0
    assert similarity("score", "vector") < 0.6 < similarity("score", "scores")


def test_added_input_with_default_breaks_rest_only(tmp_path: Path) -> None:
    new = message(OLD.replace("input ids int64[?,?]", "input ids int64[?,?]\n    input k int32[]"))
    new.meta_graphs[0].signature_def["serving_default"].defaults["k"].int_val.append(10)
    (finding,) = diff(saved_model_files.write(tmp_path / "old", OLD), save(tmp_path / "new", new))
    assert (finding.rule, finding.severity, finding.tensor) == ("SIG504", "warning", "k")
    (lost,) = diff(tmp_path / "new", save_without_default(tmp_path / "newer", new))
    assert (lost.rule, lost.severity, lost.tensor) == ("SIG512", "error", "k")


def save_without_default(folder: Path, content: Any) -> Path:
    content.meta_graphs[0].signature_def["serving_default"].defaults.clear()
    return save(folder, content)


def test_messages_say_what_why_and_what_to_do() -> None:
    new = OLD.replace("input ids int64[?,?]", "input ids int64[?,50]")
    (finding,) = compare(build(OLD), build(new))
    assert finding.message == (
        "input 'ids' was [?, ?] and is [?, 50], which is narrower, and requests of the old shape fail; keep the shape"
    )


def test_shapes_allow_what_they_say() -> None:
    assert allows(None, (1, 2)) and allows((None, 2), (3, 2)) and allows((None,), (None,)) and allows(None, None)
    assert not allows((2,), None) and not allows((2,), (None,)) and not allows((None,), (None, None))


def test_manifests_on_disk_are_compared(tmp_path: Path) -> None:
    """Another image, and a label that has become a feature, between two exports that are alike in the graph."""
    for version, image, training_only in ((1, "server:1", ("click",)), (2, "server:2", ())):
        folder = saved_model_files.write(tmp_path / str(version), OLD)
        write(manifest(image, training_only), folder)
    told = diff(tmp_path / "1", tmp_path / "2")
    assert [(each.rule, each.severity) for each in told] == [("SIG515", "error"), ("SIG514", "warning")]
    assert "'click' belonged to training only" in told[0].message
    assert told[1].message.startswith("the server image was server:1 and is server:2;")


def manifest(image: str, training_only: Tuple[str, ...]) -> Manifest:
    click = Feature(name="click", side="user", kind="numeric", dtype="float32", inputs=("click",))
    return Manifest(
        model="m",
        version=1,
        created="",
        schema_hash="",
        features=() if training_only else (click,),
        training_only=training_only,
        signatures={},
        server_image=image,
        metrics={},
        data=Data(name="", fingerprint="", synthetic=True),
        code_commit="",
    )


def test_op_that_was_in_a_function_before_is_not_new() -> None:
    """What counts is what runs, wherever it stands; what lies about unused does not."""
    nested = """
        input query float32[?,8]
        output id int64[?] = call
        call = PartitionedCall query f=@search
        function search(x) -> found:index:0
          found = Scann>ScannSearchBatched x
        """
    plain = """
        input query float32[?,8]
        output id int64[?] = found
        found = Scann>ScannSearchBatched query
        """
    unused = nested.replace("call = PartitionedCall query f=@search", "call = Identity query")
    assert found(plain, nested) == []
    assert found(unused, unused) == []
    assert found(plain, unused) == [("added_custom_op", "error")]


@pytest.mark.parametrize("format", ["text", "json"])
def test_command_tells_breaking_changes_apart(format: str, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from signatures.__main__ import app

    old = saved_model_files.write(tmp_path / "old", OLD)
    wider = saved_model_files.write(tmp_path / "wider", OLD.replace("input ids int64[?,?]", "input ids int64"))
    gone = saved_model_files.write(tmp_path / "gone", OLD.replace("input ids int64[?,?]\n", ""))
    harmless = CliRunner().invoke(app, ["diff", str(old), str(wider), "--format", format])
    breaking = CliRunner().invoke(app, ["diff", str(old), str(gone), "--format", format])
    assert (harmless.exit_code, breaking.exit_code) == (0, 1)
    assert "SIG506" in harmless.stdout and re.search(r"\binfo\b", harmless.stdout)
    assert "SIG502" in breaking.stdout and re.search(r"\berror\b", breaking.stdout)
