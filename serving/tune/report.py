"""What a sweep measured: a table, JSON, and a chart of rows a second against the slowest requests."""

from __future__ import annotations

import base64
import html
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional

from rich.console import Console
from rich.table import Table

from serving.tune.setting import Measured
from signatures.files import write_whole

FORMS = (".json", ".png", ".html")
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body {{ max-width: 960px; margin: 32px auto; padding: 0 16px; font: 15px/1.5 system-ui, sans-serif; }}
img {{ max-width: 100%; }} table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 5px 12px 5px 0; text-align: left; border-top: 1px solid #dfe3e9; }}</style></head>
<body><h1>{title}</h1><p>{told}</p><p><strong>{verdict}</strong></p>
<img alt="rows a second against p99" src="data:image/png;base64,{picture}">
<table><tr>{head}</tr>
{rows}</table></body></html>
"""


@dataclass(frozen=True)
class Report:
    """A sweep. chosen: the setting that was written; None where none was."""

    model: str
    server: str
    load: str
    p99_ms: float
    measured: List[Measured]
    chosen: Optional[Measured]
    verdict: str

    def table(self) -> List[List[str]]:
        """The head first."""
        rows = [[each.told(), f"{each.rows_per_second:,.0f}", f"{each.p50:.3g}", f"{each.p99:.3g}", str(each.failed),
                 "chosen" if each == self.chosen else "" if each.meets(self.p99_ms) else "misses the target"]
                for each in self.measured]
        return [["setting", "rows/s", "p50 ms", "p99 ms", "failed", ""], *rows]

    def document(self) -> Dict[str, Any]:
        """For JSON."""
        return asdict(self)


def show(report: Report, console: Console) -> None:
    """Prints the table and the verdict."""
    head, *rows = report.table()
    table = Table(*head)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print(report.verdict, highlight=False, soft_wrap=True)


def write(report: Report, file: Path) -> None:
    """In the form that the ending names, whole or not at all. Raises UsageError when the disk refuses."""
    if file.suffix == ".json":
        write_whole(file, json.dumps(report.document(), indent=1, ensure_ascii=False) + "\n")
    else:
        write_whole(file, picture(report) if file.suffix == ".png" else _page(report))


def picture(report: Report) -> bytes:
    """A PNG: each setting a point, the target a line, the chosen one ringed."""
    from matplotlib.figure import Figure  # slow to import, and not everybody wants a chart

    figure = Figure(figsize=(8.5, 5), layout="constrained")
    axes = figure.add_subplot()
    kinds = sorted({each.setting.threads for each in report.measured if each.setting is not None})
    for threads in kinds:
        own = [each for each in report.measured if each.setting is not None and each.setting.threads == threads]
        axes.scatter([each.p99 for each in own], [each.rows_per_second for each in own], s=28,
                     label=f"{threads} thread{'s' if threads > 1 else ''}")
        for each in own:
            assert each.setting is not None
            axes.annotate(f"{each.setting.rows}/{each.setting.timeout_micros}", (each.p99, each.rows_per_second),
                          fontsize=7, xytext=(4, 3), textcoords="offset points")
    plain = [each for each in report.measured if each.setting is None]
    axes.scatter([each.p99 for each in plain], [each.rows_per_second for each in plain], marker="x", color="black",
                 label="no batching")
    if report.chosen is not None:
        axes.scatter([report.chosen.p99], [report.chosen.rows_per_second], s=160, facecolors="none",
                     edgecolors="#d13a3a", label="chosen")
    axes.axvline(report.p99_ms, color="#d13a3a", linestyle="--", linewidth=1, label="target")
    axes.set(xlabel="p99 ms", ylabel="rows a second", title=f"{report.model}: rows/timeout µs of each setting",
             ylim=(0, None), xlim=(0, None))
    axes.legend(fontsize=8)
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=120)
    return written.getvalue()


def _page(report: Report) -> str:
    head, *rows = report.table()
    cells = ["<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return _PAGE.format(
        title=html.escape(f"Tuning {report.model}"), told=html.escape(f"{report.load}; {report.server}"),
        verdict=html.escape(report.verdict), picture=base64.b64encode(picture(report)).decode(),
        head="".join(f"<th>{cell}</th>" for cell in head), rows="\n".join(cells),
    )
