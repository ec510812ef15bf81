"""Every check of the linter's second step against its own examples, and the parts that they share. No TensorFlow."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest

from signatures import cards
from signatures.errors import UsageError
from signatures.execution import checks, comparison, golden, requests
from signatures.execution.examples import build
from signatures.execution.inputs import describe
from signatures.execution.recipe import Recipe
from signatures.findings import SEVERITIES
from signatures.saved_model import Signature, TensorInfo
from tests.rule_examples import cases

MODULES = {module.RULE.code: module for module in checks.load()}


@pytest.mark.parametrize(("code", "example"), cases(MODULES, "bad"))
def test_bad_example_is_found_and_told(code: str, example: str) -> None:
    found = list(MODULES[code].check(build(example)))
    assert found and {each.rule for each in found} == {code}
    for each in found:
        told, cure = each.told_and_cure()
        assert told and cure and each.severity in SEVERITIES
        assert each.tensor is None or repr(each.tensor) in each.message
        assert "{" not in each.message and "\n" not in each.message


@pytest.mark.parametrize(("code", "example"), cases(MODULES, "good"))
def test_good_example_is_clean(code: str, example: str) -> None:
    assert list(MODULES[code].check(build(example))) == []


@pytest.mark.parametrize(("code", "example"), cases(MODULES, "good"))
def test_good_example_of_one_check_is_clean_for_the_others(code: str, example: str) -> None:
    """As far as it is good at all: NaN of a logarithm, a mean over the batch that is declared, are examples too."""
    allowed = {
        "SIG701": {"SIG706"},
        "SIG702": {"SIG702", "SIG704", "SIG707"},
        "SIG703": {"SIG704"},
        "SIG709": {"SIG705"},
    }
    probe = build(example)
    found = {each.rule for module in MODULES.values() for each in module.check(probe)}
    assert found <= allowed.get(code, set())


def test_severity_follows_what_is_declared() -> None:
    """Rows of a signature of which nothing is known may belong together: a warning. Declared independent: an error."""
    example = "input price float32[?]\noutput score float32[?] = price - mean(price)"
    check = MODULES["SIG701"].check
    assert [each.severity for each in check(build(example))] == ["warning"]
    assert [each.severity for each in check(build("batchable\n" + example))] == ["error"]
    assert list(check(build("alone\n" + example))) == []


def test_rows_that_are_left_out_are_no_dependence() -> None:
    """What is cut out of the batch is in another row, which is SIG706 alone."""
    probe = build("input price float32[?]\noutput score float32[?] = price[price > 0.13]")
    assert {each.rule for module in MODULES.values() for each in module.check(probe)} == {"SIG706"}


def test_culprit_is_named() -> None:
    """Of several inputs, the one in other rows, the one that is empty, the one with an unknown id."""
    mixed = build("input price float32[?]\ninput age float32[?]\noutput score float32[?] = price + max(age)")
    (finding,) = MODULES["SIG701"].check(mixed)
    assert "through input 'age' of other rows" in finding.message
    empty = build("input price float32[?]\ninput age float32[?]\noutput score float32[?] = price + log(age)")
    (finding,) = MODULES["SIG704"].check(empty)
    assert "when everything is zero or empty, through input 'age'" in finding.message


def test_what_is_random_is_told_once() -> None:
    """A counter in the answer changes it alone, in padding and over golden answers too: only SIG703 says so."""
    probe = build(
        "input history int64[?,?]\ninput history_length int64[?]\noutput score float32[?] = history[:, 0] + calls\n"
        "golden history = [[1], [2]] history_length = [1, 1] score = [1, 2]"
    )
    assert {each.rule for module in MODULES.values() for each in module.check(probe)} == {"SIG703"}


@pytest.mark.parametrize("code", MODULES)
def test_card_is_complete(code: str) -> None:
    card = cards.card(code)
    assert set(card.sections) == {"Why", "Bad", "Good"}
    assert MODULES[code].__name__ == f"signatures.execution.checks.{code.lower()}_{card.rule.name}"
    assert (card.rule.bad and card.rule.good) or code == "SIG710"


def test_every_file_is_listed() -> None:
    folder = Path(checks.__file__).parent
    assert sorted(path.stem for path in folder.glob("sig*.py")) == sorted(checks.NAMES)
    assert frozenset(MODULES) == checks.CODES


@pytest.mark.parametrize(
    ("found", "expected", "same"),
    [
        ([1.0], [1.00001], True),  # 1e-5 of 1 apart
        ([1.0], [1.00003], False),
        ([1000.0], [1000.005], True),  # relative beyond 1
        ([np.nan], [np.nan], True),
        ([np.nan], [1.0], False),
        ([np.inf], [np.inf], True),
        ([np.inf], [-np.inf], False),
    ],
)
def test_numbers_count_as_equal(found: List[float], expected: List[float], same: bool) -> None:
    assert (comparison.difference(np.array(found), np.array(expected)) is None) is same


def test_difference_tells_the_worst_and_integers_and_text_are_exact() -> None:
    assert comparison.difference(np.array([1.0, 5.0]), np.array([1.1, 2.0])) == (5.0, 2.0)
    assert comparison.difference(np.array([1, 2]), np.array([1, 3])) == (2, 3)
    assert comparison.difference(np.array([b"a"], object), np.array([b"b"], object)) == (b"a", b"b")
    assert comparison.difference(np.zeros((0, 2)), np.zeros((0, 2))) is None
    coarse = np.array([1.0], np.float16)
    assert comparison.difference(coarse, coarse + np.float16(0.005)) is None


def test_identical_is_up_to_the_last_bits() -> None:
    one = np.array([1.0], np.float32)
    assert comparison.identical(one, np.nextafter(one, np.float32(2)))
    assert not comparison.identical(one, one + np.float32(1e-5))
    assert not comparison.identical(one, np.ones((1, 1), np.float32))
    # a second later, in double precision: the clock is seen
    assert not comparison.identical(np.array([1.7e9]), np.array([1.7e9 + 1e-3]))


def signature(**inputs: Any) -> Signature:
    infos = {name: TensorInfo((name,), dtype, shape) for name, (dtype, shape) in inputs.items()}
    return Signature("serving_default", "tensorflow/serving/predict", infos, {})


def test_length_is_known_by_its_name_and_shape() -> None:
    found = describe(
        signature(
            history=("int64", (None, None)),
            history_length=("int64", (None,)),
            genres=("int64", (None, None, None)),
            genres_length=("int32", (None, None)),
            title=("string", (None,)),
            title_length=("int64", (None,)),  # as many axes: a number of letters
            vector=("float32", (None, 8)),
            vector_length=("float32", (None,)),  # no number of cells
        ),
        None,
    )
    assert {name: info.length for name, info in found.items() if info.length} == {
        "history": "history_length",
        "genres": "genres_length",
    }
    assert {name for name, info in found.items() if info.role == "length"} == {"history_length", "genres_length"}


def test_parts_of_sparse_and_ragged_inputs_are_known() -> None:
    sparse = signature(w=("int64", (None, 2)), w_1=("float32", (None,)), w_2=("int64", (2,)), age=("float32", (None,)))
    found = describe(sparse, None)
    assert {n: i.role for n, i in found.items()} == {
        "w": "indices",
        "w_1": "values",
        "w_2": "dense_shape",
        "age": "unknown",
    }
    assert not any(info.batched for info in found.values())
    made = requests.make(found, Recipe(texts=(b"a",)))
    assert made is not None
    # By hand: six rows with one cell each, in the first column of five.
    assert made["w"].tolist() == [[row, 0] for row in range(6)] and made["w_2"].tolist() == [6, 5]
    ragged = describe(signature(ids=("int64", (None,)), ids_1=("int64", (None,))), None)
    assert {n: i.role for n, i in ragged.items()} == {"ids": "values", "ids_1": "splits"}
    made = requests.make(ragged, Recipe())
    assert made is not None and made["ids_1"].tolist() == [0, 1, 2, 3, 4, 5, 6] and len(made["ids"]) == 6


def test_what_is_too_large_or_of_no_type_is_not_made() -> None:
    assert requests.make(describe(signature(x=("float32", (None, 10**9))), None), Recipe()) is None
    assert requests.make(describe(signature(x=("float32", (2**20, 2**20))), None), Recipe()) is None
    assert requests.make(describe(signature(x=("variant", (None,))), None), Recipe()) is None


def test_requests_repeat_themselves() -> None:
    infos = describe(signature(x=("float32", (None, 3)), city=("string", (None,))), None)
    first, second = (requests.make(infos, Recipe(texts=(b"a", b"b")), seed=4) for _ in range(2))
    assert first is not None and second is not None
    assert all(np.array_equal(first[name], second[name]) for name in infos)


GOOD = {"signature": "s", "inputs": {"x": [[1, 2]], "city": ["Ulm"]}, "outputs": {}}


def read(folder: Path, content: Any, name: str = "s") -> Any:
    (folder / "golden").mkdir(exist_ok=True)
    (folder / "golden" / "s.json").write_text(content if isinstance(content, str) else json.dumps(content))
    told = signature(x=("float32", (None, None)), city=("string", (None,)))
    return golden.read(folder, Signature(name, told.method, told.inputs, {}))


def test_golden_file_is_read_in_the_dtypes_of_the_signature(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    assert found.inputs["x"].dtype == np.float32 and found.inputs["x"].tolist() == [[1.0, 2.0]]
    assert found.inputs["city"].tolist() == [b"Ulm"]
    assert read(tmp_path, {**GOOD, "inputs": {"x": [[], []], "city": ["", ""]}}).inputs["x"].shape == (2, 0)
    assert read(tmp_path, GOOD, name="other") is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "TypeError"),
        ({"inputs": {}}, "KeyError: 'outputs'"),
        ({**GOOD, "inputs": {"age": [1]}}, "'age' is not in the signature"),
        ({**GOOD, "inputs": {"x": [[1], [1, 2]]}}, "ValueError"),
        ({**GOOD, "inputs": {"x": [1, 2]}}, "1 axes instead of 2"),
        ({**GOOD, "inputs": {"city": [10**9]}}, "a text is int"),
        ("[" * 100_000, "RecursionError"),
    ],
)
def test_unusable_golden_file_is_one_sentence(content: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="export the model again") as error:
        read(tmp_path, content)
    assert told in str(error.value) and "\n" not in str(error.value)


def test_golden_file_elsewhere_is_not_read(tmp_path: Path) -> None:
    """A signature may be called what it likes, and a link may lead anywhere: neither leads out of the export."""
    (tmp_path / "secret.json").write_text(json.dumps(GOOD))
    export = tmp_path / "export"
    (export / "golden").mkdir(parents=True)
    assert read(export, GOOD, name="../../secret") is None
    (export / "golden" / "s.json").unlink()
    os.symlink(tmp_path / "secret.json", export / "golden" / "s.json")
    with pytest.raises(UsageError, match="link out of the export"):
        golden.read(export, Signature("s", "", {}, {}))


def test_example_that_is_no_notation_is_refused() -> None:
    with pytest.raises(ValueError, match="is no line of an example"):
        build("input price float32")
