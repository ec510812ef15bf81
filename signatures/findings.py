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

    @property
    def place(self) -> str:
        """Signature and tensor, as one word; empty when the finding is about the whole model."""
        return "/".join(filter(None, (self.signature, self.tensor)))

    def told_and_cure(self) -> Tuple[str, str]:
        """The two halves of the message: what is wrong, and what to do; the second is empty where nothing need be."""
        told, _, cure = self.message.partition("; ")
        return told, cure

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


def counted(findings: Iterable[Finding]) -> str:
    """How many there are of each severity, in words: "1 error, 2 warnings", or "nothing found"."""
    found = [each.severity for each in findings]
    counts = [(severity, found.count(severity)) for severity in SEVERITIES if severity in found]
    words = [f"{n} {severity}{'' if n == 1 or severity == 'info' else 's'}" for severity, n in counts]
    return ", ".join(words) or "nothing found"


def in_order(findings: Iterable[Finding]) -> List[Finding]:
    """The worst first, then by code, signature and tensor; twice the same is once."""
    return sorted(set(findings), key=_order)


def _order(finding: Finding) -> Tuple[int, str, str, str, str]:
    place = (finding.rule, finding.signature or "", finding.tensor or "", finding.message)
    return (SEVERITIES.index(finding.severity), *place)
