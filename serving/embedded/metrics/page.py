"""The page that Prometheus reads, letter by letter as the real server's exporter writes it.

`/tensorflow/serving/request_count` becomes `:tensorflow:serving:request_count`; there are no HELP lines.
"""

from __future__ import annotations

import re
from typing import Dict, Iterable, List, Sequence, Union

from serving.embedded.metrics.registry import Cell, Counter, Histogram, Labels, number

Metric = Union[Counter, Histogram]


def render(metrics: Iterable[Metric]) -> str:
    """All metrics in the order of their names, cells in the order of their labels."""
    lines: List[str] = []
    for metric in sorted(metrics, key=lambda each: each.name):
        name = _name(metric.name)
        if isinstance(metric, Counter):
            lines.append(f"# TYPE {name} counter")
            counts: Dict[Labels, int] = metric.snapshot()
            lines += [f"{name}{{{_pairs(metric.labels, labels)}}} {counts[labels]}" for labels in sorted(counts)]
        else:
            lines.append(f"# TYPE {name} histogram")
            cells = metric.snapshot()
            for labels in sorted(cells):
                lines += _histogram(name, _pairs(metric.labels, labels), metric.bounds, cells[labels])
    return "\n".join(lines) + "\n"


def _histogram(name: str, pairs: str, bounds: Sequence[float], cell: Cell) -> List[str]:
    lines, below = [], 0
    prefix = f"{pairs}," if pairs else ""
    for bound, count in zip([*map(number, bounds), "+Inf"], cell.counts):
        below += count
        lines.append(f'{name}_bucket{{{prefix}le="{bound}"}} {below}')
    return [*lines, f"{name}_sum{{{pairs}}} {number(cell.total)}", f"{name}_count{{{pairs}}} {below}"]


def _pairs(names: Labels, values: Labels) -> str:
    return ",".join(f'{_label(name)}="{_escaped(value)}"' for name, value in zip(names, values))


def _name(name: str) -> str:
    found = re.sub(r"[^a-zA-Z0-9_]", ":", name)
    return f"_{found}" if found[:1].isdigit() else found


def _label(name: str) -> str:
    found = re.sub(r"[^a-zA-Z0-9]", "_", name)
    return f"_{found}" if found[:1].isdigit() else found


def _escaped(value: str) -> str:
    """A line break would end the line, and with it the page; the real server forgets it."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
