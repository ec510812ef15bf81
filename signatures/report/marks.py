"""Which findings are shown where: at an input, an output, a node on the way, or beside the picture."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Sequence, Set, Tuple

from signatures.export import Export
from signatures.findings import Finding
from signatures.report.steps import Flow, flow
from signatures.saved_model import Place, Signature, node_name

LEAKS = ("SIG101", "SIG102", "SIG401")
"""Findings about an input whose value goes where it must not: its whole way is shown."""

Found = Dict[str, List[Finding]]


@dataclass
class Marks:
    """The findings about one signature."""

    inputs: Found = field(default_factory=lambda: defaultdict(list))
    outputs: Found = field(default_factory=lambda: defaultdict(list))
    steps: Dict[int, List[Finding]] = field(default_factory=lambda: defaultdict(list))
    """By the step's place in the flow."""
    sources: List[Tuple[Place, List[Finding]]] = field(default_factory=list)
    """Nodes that change an output, and that no input can change."""
    apart: Found = field(default_factory=lambda: defaultdict(list))
    """By name: nodes that run and change no output."""
    leaks: Set[str] = field(default_factory=set)
    """Inputs whose way is shown."""


def mark(export: Export, signature: Signature, findings: Sequence[Finding]) -> Tuple[Flow, Marks]:
    """The flow of a signature, and where in it the findings about it belong."""
    marks = Marks()
    nodes: List[Tuple[Place, Finding]] = []
    for finding in findings:
        name = finding.tensor
        if finding.signature != signature.name or name is None:
            continue
        if name in signature.outputs and (name not in signature.inputs or finding.message.startswith("output")):
            marks.outputs[name].append(finding)
        elif name in signature.inputs or any(each.name == name for each in export.given(signature)):
            marks.inputs[name].append(finding)
            nodes += _entries(export, signature, finding, marks)
        else:
            meant = _meant(export, signature, finding)
            nodes += [(place, finding) for place in meant]
            if not meant and _runs(export, signature, name):
                marks.apart[name].append(finding)
    return _flow(export, signature, nodes, marks), marks


def _entries(export: Export, signature: Signature, finding: Finding, marks: Marks) -> List[Tuple[Place, Finding]]:
    """Where an input that must not meets the computation of each output that it reaches."""
    found: List[Tuple[Place, Finding]] = []
    name = finding.tensor or ""
    origins = [each.origin for each in export.given(signature) if each.name == name and finding.rule in LEAKS]
    for output in (output for origin in origins for output in export.reached(signature, origin)):
        marks.leaks.add(name)
        met = export.place(signature, output, name)
        if met is None:
            marks.outputs[output].append(finding)
        else:
            found.append((met, finding))
    return found


def _runs(export: Export, signature: Signature, name: str) -> bool:
    """True for a node that is executed; a finding may also be about what the signature lacks."""
    return any(place.node.name == node_name(name) for place in export.trace(signature.name).running)


def _meant(export: Export, signature: Signature, finding: Finding) -> List[Place]:
    """The nodes that a finding is about; where several functions have one of the name, the message says which."""
    name = node_name(finding.tensor or "")
    found = [place for place in export.trace(signature.name).live if place.node.name == name]
    return [place for place in found if str(place) in finding.message] or found


def _flow(export: Export, signature: Signature, nodes: Sequence[Tuple[Place, Finding]], marks: Marks) -> Flow:
    """The flow, with those nodes as its sources that inputs alone do not lead to; marks the steps of the others."""
    first = flow(export, signature)
    shapes = any(_unseen(export, signature, first, name) for name in marks.leaks)
    first = flow(export, signature, shapes=True) if shapes else first
    sources: Dict[Tuple[str, str], Tuple[Place, List[Finding]]] = {}
    for place, finding in nodes:
        if not _steps(first, place):
            _, told = sources.setdefault((place.graph, place.node.name), (place, []))
            told += [] if finding in told else [finding]
    marks.sources = list(sources.values())
    walked = flow(export, signature, [place for place, _ in marks.sources], shapes) if sources else first
    for place, finding in nodes:
        for step in _steps(walked, place):
            if finding not in marks.steps[step]:
                marks.steps[step].append(finding)
    return walked


def _unseen(export: Export, signature: Signature, walked: Flow, name: str) -> bool:
    """True for an input that reaches an output, but by no way of the flow."""
    number, origin = next((n, each.origin) for n, each in enumerate(export.given(signature)) if each.name == name)
    return not all(
        any(each == ~number if each < 0 else walked.steps[each].inputs >> number & 1 for each in walked.outputs[output])
        for output in export.reached(signature, origin)
    )


def _steps(walked: Flow, place: Place) -> List[int]:
    """The steps of a node, one for each of its calls; or the branch or loop that it is in."""
    own = [nth for nth, step in enumerate(walked.steps) if _same(step.place, place)]
    return own or [nth for nth, step in enumerate(walked.steps) if place.graph in step.within][:1]


def _same(one: Place, other: Optional[Place]) -> bool:
    return other is not None and (one.graph, one.node.name) == (other.graph, other.node.name)
