"""Findings as SARIF 2.1.0, the form that code scanners and editors read."""

from __future__ import annotations

import json
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence
from urllib.parse import quote

from signatures import cards
from signatures.findings import Finding
from signatures.lint import Result
from signatures.reader import FILE

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def document(results: Sequence[Result]) -> str:
    """One run: the rules as its metadata, a result per finding, and a notification per model that was not examined."""
    places = {code: place for place, code in enumerate(cards.cards())}
    found: List[Dict[str, Any]] = []
    for result in results:
        found += [_result(result.path, each, places) for each in result.findings]
        found += [_result(result.path, each, places, reason) for each, reason in result.suppressed]
    run = {"tool": {"driver": _driver()}, "invocations": [_invocation(results)], "results": found}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1)


def location(folder: Path) -> str:
    """The file of a model as people and scanners call it: below the working folder, or else absolute."""
    file = folder / FILE
    absolute = file.absolute()
    here = Path.cwd()
    return absolute.relative_to(here).as_posix() if here in absolute.parents else absolute.as_posix()


def _driver() -> Dict[str, Any]:
    driver: Dict[str, Any] = {"name": "Signet", "rules": [_rule(each) for each in cards.cards().values()]}
    with suppress(metadata.PackageNotFoundError):  # run from a folder, not installed
        driver["version"] = metadata.version("signet-recommenders")
    return driver


def _rule(card: cards.Card) -> Dict[str, Any]:
    told = " ".join(f"{name}: {text}" for name, text in card.sections.items())
    marked = "\n\n".join(f"**{name}:** {text}" for name, text in card.sections.items())
    return {
        "id": card.rule.code,
        "name": "".join(word.capitalize() for word in card.rule.name.split("_")),
        "shortDescription": {"text": card.title},
        "fullDescription": {"text": card.sections.get("Why", card.title)},
        "help": {"text": told or card.title, "markdown": marked or card.title},
        "defaultConfiguration": {"level": _LEVELS[card.rule.severity]},
        "properties": {"tags": [cards.FAMILIES[card.rule.code[:4]]]},
    }


def _invocation(results: Sequence[Result]) -> Dict[str, Any]:
    problems = [(each.path, each.problem) for each in results if each.problem]
    invocation: Dict[str, Any] = {"executionSuccessful": not problems}
    if problems:
        invocation["toolExecutionNotifications"] = [
            {"level": "error", "message": {"text": problem}, "locations": [{"physicalLocation": _physical(path)}]}
            for path, problem in problems
        ]
    return invocation


def _result(path: Path, finding: Finding, places: Dict[str, int], reason: Optional[str] = None) -> Dict[str, Any]:
    place: Dict[str, Any] = {"physicalLocation": _physical(path)}
    logical = _logical(finding)
    if logical:
        place["logicalLocations"] = [logical]
    told: Dict[str, Any] = {
        "ruleId": finding.rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": finding.message},
        "locations": [place],
        "partialFingerprints": {"place/v1": f"{finding.rule}:{finding.place}"},
    }
    if finding.rule in places:
        told["ruleIndex"] = places[finding.rule]
    if reason is not None:
        told["suppressions"] = [{"kind": "external", "status": "accepted", "justification": reason}]
    return told


def _physical(path: Path) -> Dict[str, Any]:
    file = location(path)
    if Path(file).is_absolute():
        return {"artifactLocation": {"uri": Path(file).as_uri()}}
    return {"artifactLocation": {"uri": quote(file), "uriBaseId": "%SRCROOT%"}}


def _logical(finding: Finding) -> Optional[Dict[str, Any]]:
    """The signature, or the tensor or op within it."""
    if finding.tensor:
        return {"name": finding.tensor, "fullyQualifiedName": finding.place, "kind": "member"}
    if finding.signature:
        return {"name": finding.signature, "fullyQualifiedName": finding.signature, "kind": "function"}
    return None
