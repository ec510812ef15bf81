"""The examples that rules bring along, as parameters of their tests."""

from __future__ import annotations

from typing import Any, List, Mapping

import pytest


def cases(modules: Mapping[str, Any], kind: str) -> List[Any]:
    """(code, example) for each `bad` or `good` example of the rules, by code."""
    return [
        pytest.param(code, text, id=f"{code}-{place}")
        for code, module in modules.items()
        for place, text in enumerate(getattr(module.RULE, kind))
    ]
