"""The figures as a table for a terminal, as Markdown for a README, and as one page that needs nothing but itself."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Optional, Sequence

import jinja2

from tests.benchmarks.peers import plots
from tests.benchmarks.peers.results import LEAST_ROUNDS, Document, Result, SideRounds, share_of_limit

HEAD = ("name", "what", "peer", "Signet", "ratio", "quartiles", "CPU ratio", "goal", "")
SHARE_HEAD = ("step", "side", "products, GFLOP", "moved, GB", "share of the limit")


def rows(document: Document) -> List[List[str]]:
    """Of the table, the head first. A result below its goal says so."""
    return [list(HEAD), *(_row(each) for each in document.results)]


def share_rows(document: Document) -> List[List[str]]:
    """What share of the machine's limit each step reaches, the head first; empty where no limit was measured."""
    found = []
    for each in document.results:
        for side in (each.peer, each.signet):
            share = share_of_limit(side, document.limits)
            if share is not None:
                work = [_number(side.facts.get(name)) for name in ("gigaflop", "gigabytes")]
                found.append([each.name, side.name, *work, f"{share:.0%}"])
    return [list(SHARE_HEAD), *found] if found else []


def _row(result: Result) -> List[str]:
    low, high = result.quartiles
    return [
        result.name, result.title, f"{result.peer.name} {_amount(result.peer, result.unit)}",
        _amount(result.signet, result.unit), ratio_text(result.ratio),
        "" if result.unit == "bytes" else f"{ratio_text(low)} to {ratio_text(high)}",
        "" if result.cpu_ratio is None else ratio_text(result.cpu_ratio),
        "" if result.goal is None else f"{result.goal:g}", verdict(result),
    ]


def line(result: Result) -> str:
    """One result as it comes in."""
    goal = "" if result.goal is None else f", goal {result.goal:g}: {verdict(result)}"
    return f"{result.name}: {ratio_text(result.ratio)} times{goal}"


def verdict(result: Result) -> str:
    """reached or below, and whether too few rounds say so; and what an approximation finds of the truth."""
    words = [result.state]
    if result.unit != "bytes" and result.rounds < LEAST_ROUNDS:
        words.append(f"{result.rounds} rounds only")
    if "recall" in result.signet.facts:
        words.append(f"recall {result.signet.facts['recall']:.3f}")
    return ", ".join(word for word in words if word)


def ratio_text(ratio: float) -> str:
    """Three digits."""
    return f"{ratio:,.0f}" if ratio >= 99.95 else f"{ratio:#.3g}"


def _amount(side: SideRounds, unit: str) -> str:
    if unit == "bytes":
        return f"{side.median_seconds:,.0f} bytes"
    milliseconds = 1e3 * side.median_seconds
    return f"{milliseconds:,.0f} ms" if milliseconds >= 99.95 else f"{milliseconds:#.3g} ms"


def _number(value: Optional[float]) -> str:
    return "" if value is None else f"{value:.3g}"


def told(document: Document) -> List[str]:
    """Machine, versions, limits and how it was measured, a sentence each."""
    machine = document.machine
    sentences = [
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; begun {document.started}, when "
        f"{document.load:.1f} processes wanted to run.",
        "Both sides have the same data, dimensions and batch, in a process of their own environment; they never run at "
        "once, rounds alternate, and their order turns. A ratio is the peer's time over Signet's: the median over the "
        "rounds, with its quartiles. CPU ratio: the same of processor time, which other processes disturb less.",
    ]
    for environment, versions in document.versions.items():
        listed = ", ".join(f"{name} {version}" for name, version in versions.items())
        sentences.append(f"{environment}: {listed}.")
    if document.limits:
        limits = document.limits
        sentences.append(
            f"Limits in the same run: {limits['gemm_gigaflops']:.0f} GFLOP/s in products of matrices "
            f"({limits['gemm_gigaflops_per_cpu_second']:.0f} a processor second), {limits['triad_gigabytes']:.1f} GB/s "
            "of memory (triad)."
        )
    return sentences


def warnings(document: Document) -> List[str]:
    """What keeps the figures from being published."""
    found = []
    if document.quick:
        found.append("A trial of small sizes: these figures only show that it runs.")
    if document.interrupted:
        found.append("The run was interrupted: what is missing was not measured.")
    if document.load > 0.5:
        found.append(f"Other processes were running (load {document.load:.1f}): wall times are disturbed.")
    found += [f"{failure.title}: not measured ({failure.reason})" for failure in document.failures]
    return found


def markdown(document: Document, picture: str) -> str:
    """For a README; `picture` is the file beside it."""
    parts = [*(f"**{each}**" for each in warnings(document)), _table(rows(document)), f"![Ratios]({picture})"]
    shares = share_rows(document)
    if shares:
        parts.append(_table(shares))
    parts.append("\n".join(f"- {each}" for each in notes(document)))
    return "\n\n".join([*parts, *told(document)]) + "\n"


def notes(document: Document) -> List[str]:
    """What must be known to judge a comparison, each once."""
    told_of: Dict[str, List[str]] = {}
    for each in document.results:
        if each.note:
            told_of.setdefault(each.note, []).append(each.name)
    return [f"{', '.join(names)}: {note}." for note, names in told_of.items()]


def _table(cells: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in cells]
    lines.insert(1, "|" + " --- |" * len(cells[0]))
    return "\n".join(lines)


def page(document: Document) -> str:
    """HTML that needs nothing but itself."""
    source = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(source).render(
        title="Signet beside its peers", warnings=warnings(document), told=told(document), table=rows(document),
        states=[each.state for each in document.results], shares=share_rows(document), notes=notes(document),
        picture=plots.svg(document.results) if document.results else "",
    )
