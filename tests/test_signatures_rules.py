"""Every rule against its own examples, and what ties a rule's file, code and name together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from signatures import rules
from signatures.examples import build
from signatures.findings import SEVERITIES
from tests.rule_examples import cases

MODULES = {module.RULE.code: module for module in rules.load()}


@pytest.mark.parametrize(("code", "example"), cases(MODULES, "bad"))
def test_bad_example_is_found(code: str, example: str) -> None:
    found = list(MODULES[code].check(build(example)))
    assert [each.rule for each in found] == [code] * len(found)
    assert found


@pytest.mark.parametrize(("code", "example"), cases(MODULES, "good"))
def test_good_example_is_clean(code: str, example: str) -> None:
    assert list(MODULES[code].check(build(example))) == []


@pytest.mark.parametrize(("code", "example"), cases(MODULES, "bad"))
def test_message_names_the_culprit_and_says_what_to_do(code: str, example: str) -> None:
    for finding in MODULES[code].check(build(example)):
        assert finding.severity in SEVERITIES
        assert (
            finding.tensor is None or repr(finding.tensor.partition(":")[0])[:-1] in finding.message or code == "SIG301"
        )
        told, _, cure = finding.message.partition("; ")
        assert told and cure, finding.message
        assert "{" not in finding.message and "\n" not in finding.message


@pytest.mark.parametrize("code", MODULES)
def test_rule_has_examples_of_both_kinds_and_says_why(code: str) -> None:
    rule, text = MODULES[code].RULE, MODULES[code].__doc__
    assert rule.bad and rule.good and rule.severity in SEVERITIES
    for part in ("\n\nWhy: ", "\n\nBad: ", "\n\nGood: "):
        assert part in text, f"{code} does not say {part.strip()}"


@pytest.mark.parametrize("code", MODULES)
def test_file_is_named_after_code_and_name(code: str) -> None:
    module = MODULES[code]
    assert re.fullmatch(r"SIG\d{3}", code)
    assert module.__name__ == f"signatures.rules.{code.lower()}_{module.RULE.name}"


def test_every_rule_file_is_listed_and_no_code_is_used_twice() -> None:
    folder = Path(rules.__file__).parent
    assert sorted(path.stem for path in folder.glob("sig*.py")) == sorted(rules.NAMES)
    assert len(MODULES) == len(rules.NAMES)


def test_rule_that_cannot_be_imported_stops_the_linter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "NAMES", (*rules.NAMES, "sig999_not_there"))
    with pytest.raises(ImportError, match="sig999_not_there"):
        rules.load()


def test_declared_custom_op_is_mentioned_with_its_image() -> None:
    example = (
        "input query float32[?,8]\noutput id int64[?,10]\nid = Scann>ScannSearchBatched query\n"
        "extra_ops Scann>ScannSearchBatched"
    )
    (finding,) = MODULES["SIG205"].check(build(example))
    assert finding.severity == "info"
    assert "needs the server image a-server-with-these-ops" in finding.message


def test_training_input_that_reaches_nothing_is_an_error_and_a_feature_a_warning() -> None:
    example = (
        "training_only gate\ninput gate float32[?]\ninput price float32[?]\noutput score float32[?]\nscore = Const"
    )
    found = {each.tensor: each.severity for each in MODULES["SIG104"].check(build(example))}
    assert found == {"gate": "error", "price": "warning"}


@pytest.mark.parametrize("line", ["score Mul price", "input price", "function f(x)"])
def test_line_that_is_no_notation_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=re.escape("write") if line != "score Mul price" else "is no line"):
        build(line)
