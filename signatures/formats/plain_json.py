"""Findings as JSON: {"path", "findings"} for one model, {"models": [...]} where several were asked for."""

from __future__ import annotations

import json
from typing import Any, Dict, Sequence

from signatures.lint import Result


def document(results: Sequence[Result], many: bool) -> str:
    """The findings as text. A model that could not be examined has an `error` beside its empty findings."""
    told = [_model(each) for each in results]
    return json.dumps({"models": told} if many else told[0], indent=1)


def _model(result: Result) -> Dict[str, Any]:
    found: Dict[str, Any] = {"path": str(result.path), "findings": [each.as_dict() for each in result.findings]}
    return {**found, "error": result.problem} if result.problem else found
