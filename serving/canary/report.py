"""A canary's comparison for people and programs: a table, JSON, and one self-contained page."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from rich.console import Console
from rich.table import Table

from serving.canary.comparing import Compared, Latency
from serving.canary.deciding import Criterion, Limits, passed
from signatures.files import write_whole

FORMS = (".json", ".html")


@dataclass(frozen=True)
class Report:
    """What was compared, and what came of it. started: UTC, ISO 8601."""

    model: str
    old: int
    new: int
    started: str
    questions: Dict[str, int]
    """How many, by source."""
    unanswered: int
    """Questions that the old version refuses; they say nothing."""
    compared: List[Compared]
    latency: Tuple[Optional[Latency], Optional[Latency]]
    """Of the old and the new version."""
    criteria: List[Criterion]
    limits: Limits

    @property
    def passed(self) -> bool:
        return passed(self.criteria)

    def verdict(self) -> str:
        """In one sentence."""
        failed = [each for each in self.criteria if each.passed is False]
        if not failed:
            return f"version {self.new} of {self.model} may go on"
        first = failed[0]
        more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
        return f"version {self.new} of {self.model} fails: {first.name} of {first.place} is {first.value}{more}"

    def told(self) -> str:
        """What was asked, in one line."""
        counts = ", ".join(f"{count} {source}" for source, count in sorted(self.questions.items()))
        refused = f"; {self.unanswered} refused by version {self.old}" if self.unanswered else ""
        return f"{counts} requests to versions {self.old} and {self.new}{refused}; {self.started}"

    def document(self) -> Dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "passed": self.passed, "verdict": self.verdict()}


def show(report: Report, console: Console) -> None:
    """Prints the table."""
    console.print(report.told(), highlight=False)
    table = Table("what", "where", "", "found", "allowed")
    colours = {"passed": "green", "failed": "bold red", "not known": "yellow"}
    for each in report.criteria:
        verdict = word(each)
        table.add_row(each.name, each.place, f"[{colours[verdict]}]{verdict}", each.value, each.limit)
    console.print(table)


def write(report: Report, file: Path) -> None:
    """In the form that the ending names, whole or not at all. Raises UsageError when the disk refuses."""
    document = json.dumps(report.document(), indent=1, ensure_ascii=False) + "\n"
    write_whole(file, page(report) if file.suffix == ".html" else document)


def page(report: Report) -> str:
    """HTML that needs nothing but itself."""
    import jinja2  # a canary that writes no page does not wait for it

    source = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(source).render(
        title=f"{report.model}: version {report.new} beside {report.old}", told=report.told(), passed=report.passed,
        verdict=report.verdict(), criteria=[{**asdict(each), "verdict": word(each)} for each in report.criteria],
    )


def word(criterion: Criterion) -> str:
    """passed, failed or not known."""
    return {True: "passed", False: "failed", None: "not known"}[criterion.passed]
