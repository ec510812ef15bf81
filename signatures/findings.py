"""What a linter says: one finding, and the rule that it comes from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Dict, Iterable, List, Literal, Optional, Tuple

Severity = Literal["error", "warning", "info"]
SEVERITIES: Tuple[Severity, ...] = ("error", "warning", "info")
"""Worst first."""


@dataclass(frozen=True)
class Finding:
    """One thing wrong. `message` names the culprit and says what to do."""

    rule: str
    severity: Severity
    signature: Optional[str]
    tensor: Optional[str]
    message: str

    def as_dict(self) -> Dict[str, Any]:
        """The finding as JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Rule:
    """A rule file's card. `bad` and `good` are models in the notation of signatures.examples; each bad one is found."""

    code: str
    name: str
    severity: Severity
    bad: Tuple[str, ...]
    good: Tuple[str, ...]

    def finding(
        self, message: str, signature: Optional[str], tensor: Optional[str], severity: Optional[Severity] = None
    ) -> Finding:
        """A finding of this rule, at its own severity unless told."""
        return Finding(self.code, severity or self.severity, signature, tensor, message)


def has_errors(findings: Iterable[Finding]) -> bool:
    """True when one of them is an error."""
    return any(each.severity == "error" for each in findings)


def in_order(findings: Iterable[Finding]) -> List[Finding]:
    """The worst first, then by code, signature and tensor; twice the same is once."""
    return sorted(set(findings), key=_order)


def _order(finding: Finding) -> Tuple[int, str, str, str, str]:
    place = (finding.rule, finding.signature or "", finding.tensor or "", finding.message)
    return (SEVERITIES.index(finding.severity), *place)
