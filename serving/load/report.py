"""A load test in words and figures: for the console, as JSON, as one self-contained page, as a picture."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable, Dict, List, Optional, Tuple, Union

from serving.load.plan import Open, Plan
from serving.load.result import Latency, Result
from serving.load.samples import NOT_SENT
from signatures.files import write_whole

_COLUMNS = (("mean", "mean"), ("p50", "p50"), ("p90", "p90"), ("p95", "p95"), ("p99", "p99"), ("p99.9", "p999"),
            ("most", "maximum"))
_MANY = 100
"""Answers that a percentile needs beyond it before it means something: p99 wants 100 of them in all."""


@dataclass(frozen=True)
class Report:
    """A result with what was asked, of whom, and when it began (UTC, ISO 8601)."""

    title: str
    server: str
    started: str
    plan: Plan
    result: Result

    def told(self) -> str:
        """The load in one line."""
        plan = self.plan
        load = (f"{plan.loop.rate:g} requests a second, {plan.loop.arrivals} arrivals" if isinstance(plan.loop, Open)
                else f"{plan.loop.concurrency} callers, each waiting for its answer")
        return f"{load}; {self.server}; {self.started}"

    def warnings(self) -> List[str]:
        """What keeps the figures from meaning what they seem to."""
        result, found = self.result, []
        failed = result.requests - result.answered
        if failed:
            found.append(f"{failed:,} of {result.requests:,} requests failed; latencies are of the answered ones only")
        if any(failure.kind == NOT_SENT for failure in result.failures):
            found.append("the server could not take the offered rate: requests were given up before they were sent")
        elif result.lag is not None and result.latency is not None and result.lag.p99 > max(5, result.latency.p99 / 4):
            found.append(f"the generator itself was late (p99 {text(result.lag, 'p99')} ms): it had too little "
                         "processor, or the rate is beyond what one process can send")
        if result.answered < _MANY:
            found.append(f"{result.answered} answers are too few for a p99; give more seconds or requests")
        return found

    def figures(self) -> List[Tuple[str, str]]:
        """The main ones with their names."""
        result = self.result
        rows = [("rows/s", f"{result.rows_per_second:,.0f}")] if result.rows != result.answered else []
        return [
            ("requests/s", f"{result.requests_per_second:,.1f}"), *rows,
            *((f"{name} ms", text(result.latency, name)) for name in ("p50", "p95", "p99")),
            ("answered", f"{result.answered:,}"), ("failed", f"{result.requests - result.answered:,}"),
        ]

    def table(self) -> List[List[str]]:
        """Latencies in milliseconds, the head first."""
        result = self.result
        lines = [("from when due", result.latency), ("from sending", result.service), ("sent late by", result.lag)]
        shown = lines if isinstance(self.plan.loop, Open) else lines[:1]
        return [["ms", *(name for name, _ in _COLUMNS)],
                *([name, *(text(latency, field) for _, field in _COLUMNS)] for name, latency in shown)]

    def json(self) -> str:
        """All of it, without the single requests."""
        loop = "open" if isinstance(self.plan.loop, Open) else "closed"
        document = {"title": self.title, "server": self.server, "started": self.started, "loop": loop,
                    "plan": asdict(self.plan), "warnings": self.warnings(), "result": self.result.document()}
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"

    def page(self) -> str:
        """HTML that needs nothing but itself."""
        # Imported here: a test that writes no page does not wait for them.
        import jinja2

        from serving.load import plots

        source = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
        environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
        return environment.from_string(source).render(
            title=self.title, told=self.told(), warnings=self.warnings(), figures=self.figures(), table=self.table(),
            failures=self.result.failures, picture=plots.svg(self.result),
        )


def write(report: Report, file: Path) -> None:
    """In the form that the file's ending names, whole or not at all. Raises UsageError when the disk refuses."""
    write_whole(file, FORMS[file.suffix](report))


def text(latency: Optional[Latency], field: str) -> str:
    """Milliseconds with three digits."""
    if latency is None:
        return "–"
    value = float(getattr(latency, field))
    return f"{value:,.0f}" if value >= 99.95 else f"{value:#.3g}"


def _png(report: Report) -> bytes:
    from serving.load import plots

    return plots.png(report.result)


FORMS: Dict[str, Callable[[Report], Union[str, bytes]]] = {".json": Report.json, ".html": Report.page, ".png": _png}
"""What a report is written as, by the ending of its file."""
