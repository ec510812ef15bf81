"""Findings in every format: what a reader, a program, a code scanner and a pull request get."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Dict, List

import pytest

from signatures import cards
from signatures.findings import Finding
from signatures.formats import github, plain_json, sarif, text
from signatures.lint import Result

ERROR = Finding("SIG101", "error", "serving_default", "mask", "input 'mask' changes it; use it in the loss")
WARNING = Finding("SIG206", "warning", "rank", "call", "call needs XLA; compile without")
INFO = Finding("SIG106", "info", None, None, "names; choose some")
HOSTILE = Finding("SIG101", "error", "a\nb", "\x1b[2J%,:\u202e", "100% bad:\r\n::error::no; x")
FOUND = Result(Path("exports/din/1"), [ERROR, WARNING, INFO])
CLEAN = Result(Path("exports/deepfm/2"))
BROKEN = Result(Path("exports/mmoe/1"), problem="it is cut short; export it again")


def test_plain_text_is_a_line_per_finding_and_one_per_model() -> None:
    assert text.plain([FOUND], many=False).splitlines() == [
        "error   SIG101 serving_default/mask: input 'mask' changes it; use it in the loss",
        "warning SIG206 rank/call: call needs XLA; compile without",
        "info    SIG106 -: names; choose some",
        "exports/din/1: 1 error, 1 warning, 1 info",
    ]


def test_many_models_end_with_a_line_over_all() -> None:
    *_, clean, broken, last = text.plain([FOUND, CLEAN, BROKEN], many=True).splitlines()
    assert clean == "exports/deepfm/2: nothing found"
    assert broken == "exports/mmoe/1: not examined"
    assert last == "3 models: 1 error, 1 warning, 1 info"


def test_text_says_what_was_allowed_and_how_to_make_it_decidable() -> None:
    result = Result(Path("m"), [], [(WARNING, "our server has it")], decidable=False)
    (line,) = text.plain([result], many=False).splitlines()
    assert line.startswith("m: nothing found, SIG206 allowed (our server has it); no list of features, so a mask is")
    assert "--feature NAME" in line and "--declaration FILE" in line


def test_names_cannot_break_a_line_or_move_the_cursor() -> None:
    results = [Result(Path("m"), [HOSTILE])]
    for told in (text.plain(results, many=False), text.coloured(results, many=False, width=80)):
        assert "\x1b[2J" not in told and "\u202e" not in told and "\r" not in told
        assert "\\x1b[2J" in told and "a\\nb" in told


def without_colours(told: str) -> List[str]:
    return [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", told).splitlines()]


def test_terminal_text_wraps_and_sets_the_cure_apart() -> None:
    told = text.coloured([FOUND, CLEAN], many=True, width=50)
    assert "\x1b[" in told
    lines = without_colours(told)
    assert max(map(len, lines)) <= 50
    assert lines[0] == "✗ exports/din/1"
    assert lines[1].split() == ["error", "SIG101", "serving_default", "·", "mask"]
    assert "→ use it in the loss" in lines[3]
    assert "✓ exports/deepfm/2" in lines
    assert lines[-2:] == ["2 models: 1 error, 1 warning, 1 info", "lint --explain SIG101 says why it matters"]


def test_terminal_text_is_not_read_as_markup() -> None:
    finding = Finding("SIG101", "error", "[bold]", "[/]", "shape [?, 3] is [red]wrong[/red]; see [link]")
    told = "\n".join(without_colours(text.coloured([Result(Path("[m]"), [finding])], False, 120)))
    assert "[bold] · [/]" in told and "shape [?, 3] is [red]wrong[/red]" in told and "[m]" in told


def test_json_of_one_model_is_as_agreed_and_of_many_a_list() -> None:
    one = {"path": "exports/deepfm/2", "findings": []}
    assert json.loads(plain_json.document([CLEAN], many=False)) == one
    both = json.loads(plain_json.document([CLEAN, BROKEN], many=True))
    broken = {"path": "exports/mmoe/1", "findings": [], "error": "it is cut short; export it again"}
    assert both == {"models": [one, broken]}
    keys = ["rule", "severity", "signature", "tensor", "message"]
    assert [list(each) for each in json.loads(plain_json.document([FOUND], many=False))["findings"]] == [keys] * 3


def run_of(results: List[Result]) -> Dict[str, Any]:
    told = json.loads(sarif.document(results))
    assert told["version"] == "2.1.0" and told["$schema"].endswith("sarif-2.1.0.json")
    (run,) = told["runs"]
    return dict(run)


def test_sarif_result_points_at_its_rule_and_place() -> None:
    run = run_of([FOUND])
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(cards.cards())
    for result, level in zip(run["results"], ("error", "warning", "note")):
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] and result["level"] == level
    first, second, third = run["results"]
    place = {"uri": "exports/din/1/saved_model.pb", "uriBaseId": "%SRCROOT%"}
    assert first["locations"][0]["physicalLocation"]["artifactLocation"] == place
    logical = {"name": "mask", "fullyQualifiedName": "serving_default/mask", "kind": "member"}
    assert first["locations"][0]["logicalLocations"] == [logical]
    assert "logicalLocations" not in third["locations"][0]
    assert first["partialFingerprints"] != second["partialFingerprints"]
    assert run["invocations"] == [{"executionSuccessful": True}]


def test_sarif_rules_have_what_scanners_show() -> None:
    rule = next(each for each in run_of([])["tool"]["driver"]["rules"] if each["id"] == "SIG101")
    assert rule["name"] == "TrainingOnlyInput"
    assert rule["defaultConfiguration"] == {"level": "error"}
    assert rule["shortDescription"]["text"].startswith("A mask, label")
    assert "**Bad:** `score = reduce_sum" in rule["help"]["markdown"]
    assert "Good: the mask enters" in rule["help"]["text"]


def test_sarif_keeps_what_was_allowed_with_the_reason_and_tells_what_was_not_examined() -> None:
    run = run_of([Result(Path("m"), [], [(ERROR, "a test")]), BROKEN])
    (result,) = run["results"]
    assert result["suppressions"] == [{"kind": "external", "status": "accepted", "justification": "a test"}]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    (notification,) = invocation["toolExecutionNotifications"]
    assert notification["message"]["text"] == BROKEN.problem


def test_sarif_addresses_are_escaped_and_absolute_outside_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def address(path: Path) -> Any:
        (result,) = run_of([Result(path, [ERROR])])["results"]
        return result["locations"][0]["physicalLocation"]["artifactLocation"]

    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert address(Path("my model/1")) == {"uri": "my%20model/1/saved_model.pb", "uriBaseId": "%SRCROOT%"}
    assert address(tmp_path / "here" / "m") == {"uri": "m/saved_model.pb", "uriBaseId": "%SRCROOT%"}
    assert address(tmp_path / "m") == {"uri": (tmp_path / "m" / "saved_model.pb").as_uri()}


def test_github_commands_are_one_line_each() -> None:
    lines = github.commands([FOUND, CLEAN, BROKEN]).splitlines()
    file = "exports/din/1/saved_model.pb"
    message = "serving_default/mask: input 'mask' changes it; use it in the loss"
    assert lines[0] == f"::error file={file},title=SIG101 training_only_input::{message}"
    assert [line.split(" ")[0] for line in lines] == ["::error", "::warning", "::notice", "::error"]
    broken = "file=exports/mmoe/1/saved_model.pb,title=unusable model"
    assert lines[3] == f"::error {broken}::it is cut short; export it again"


def test_github_commands_cannot_be_forged() -> None:
    """`%` first, then the ends of a property; a line break would begin a command of the model's own making."""
    (line,) = github.commands([Result(Path("a,b:c%"), [HOSTILE])]).splitlines()
    properties, message = line[2:].split("::", 1)
    assert properties == "error file=a%2Cb%3Ac%25/saved_model.pb,title=SIG101 training_only_input"
    assert message == "a\\nb/\\x1b[2J%25,:\\u202e: 100%25 bad:\\r\\n::error::no; x"
