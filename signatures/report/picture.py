"""What the picture of a signature shows: inputs by role, the stages they go through, outputs, and the culprits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Mapping, NamedTuple, Sequence, Tuple

from signatures.declaration import NOT_FOR_SERVING, TRAINING_PREFIXES
from signatures.export import Export
from signatures.findings import Finding
from signatures.report import stages, words
from signatures.report.marks import Marks, mark
from signatures.report.steps import Flow
from signatures.saved_model import Node, Signature, TensorInfo


class Key(NamedTuple):
    """What a line begins or ends at. kind: input, stage or output."""

    kind: str
    place: int


@dataclass(frozen=True)
class Port:
    """An input or an output, or a node that stands among the inputs."""

    name: str
    type: str
    role: str
    """feature, length, request, training, suspect, undeclared, unknown; source, for a node; output."""
    used: bool
    findings: Tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Box:
    """A stage."""

    layer: int
    title: str
    ops: Tuple[str, ...]
    note: str
    single: bool
    culprits: Tuple[Tuple[str, Tuple[Finding, ...]], ...] = ()
    """Nodes that findings are about."""

    @property
    def short(self) -> str:
        """The way of a lone input in two words: what is done first, what last."""
        return " → ".join(self.ops if len(self.ops) < 3 else (self.ops[0], self.ops[-1]))


@dataclass(frozen=True)
class Line:
    """A way that values take. leak: what must not is among them. hidden: through a shape, or a variable or table."""

    source: Key
    target: Key
    leak: bool
    hidden: bool = False


@dataclass(frozen=True)
class Picture:
    """Everything to be drawn; inputs from the top down."""

    inputs: Mapping[int, Port]
    boxes: Mapping[int, Box]
    outputs: Mapping[int, Port]
    lines: Sequence[Line]
    apart: Sequence[Tuple[str, Tuple[Finding, ...]]] = ()
    """Nodes that findings are about, that run, and that change no output."""


def picture(export: Export, signature: Signature, findings: Sequence[Finding]) -> Picture:
    """The picture of one signature; of the findings, those about it are marked."""
    walked, marks = mark(export, signature, findings)
    ports = _inputs(export, signature, marks)
    condensed = stages.condense(walked, set(marks.steps), len(ports))
    layers, turns = stages.layers(condensed.stages), walked.order()
    leaking = sum(1 << place for place, port in enumerate(ports) if port.role == "source" or port.name in marks.leaks)
    return Picture(
        inputs={place: ports[place] for place in stages.leaves(condensed, len(ports))},
        boxes={
            place: _box(walked, sorted(stage.steps, key=lambda step: turns[step]), layers[place], stage.single, marks)
            for place, stage in condensed.stages.items()
        },
        outputs={
            place: Port(name, _type(info), "output", True, tuple(marks.outputs[name]))
            for place, (name, info) in enumerate(signature.outputs.items())
        },
        lines=_lines(export, signature, condensed, leaking),
        apart=[(name, tuple(found)) for name, found in marks.apart.items()],
    )


def _inputs(export: Export, signature: Signature, marks: Marks) -> List[Port]:
    """What clients give, then the nodes that are sources."""
    ports = [
        Port(
            each.name,
            _type(signature.inputs[each.name]) if each.name in signature.inputs else "parsed",
            _role(export, signature, each.name),
            bool(export.reached(signature, each.origin)),
            tuple(marks.inputs[each.name]),
        )
        for each in export.given(signature)
    ]
    return ports + [Port(_node(place.node), "", "source", True, tuple(told)) for place, told in marks.sources]


def _box(walked: Flow, places: Sequence[int], layer: int, single: bool, marks: Marks) -> Box:
    """The box of a stage with these steps, in the order of the computation."""
    steps = [walked.steps[place] for place in places]
    functions = dict.fromkeys(words.function(step.place.graph) for step in steps if step.place.graph)
    functions.update(dict.fromkeys(words.function(name) for step in steps for name in sorted(step.within)))
    note = "1 op" if len(steps) == 1 else f"{len(steps)} ops"
    marked = [place for place in places if place in marks.steps]
    culprits = [(_node(walked.steps[place].place.node), tuple(marks.steps[place])) for place in marked]
    return Box(
        layer=layer,
        title=words.scope(steps),
        ops=tuple(words.ops(steps, 3)),
        note=note + (f" · in {', '.join(functions)}" if functions else ""),
        single=single,
        culprits=tuple(dict.fromkeys(culprits)),  # once, however often its function is called
    )


def _lines(export: Export, signature: Signature, condensed: stages.Stages, leaking: int) -> List[Line]:
    def key(source: int) -> Key:
        return Key("input", ~source) if source < 0 else Key("stage", source)

    lines = [
        Line(key(source), Key("stage", place), bool(carried & leaking))
        for place, stage in condensed.stages.items()
        for source, carried in stage.takes.items()
    ]
    for place, (name, taken) in enumerate(condensed.outputs.items()):
        lines += [Line(key(source), Key("output", place), bool(mask & leaking)) for source, mask in taken.items()]
        for each, known in enumerate(export.given(signature)):
            reaches = name in export.reached(signature, known.origin)
            if reaches and not any(mask >> each & 1 for mask in taken.values()):
                lines.append(Line(Key("input", each), Key("output", place), bool(leaking >> each & 1), hidden=True))
    return lines


def _node(node: Node) -> str:
    return f"{node.op} {node.name!r}"


def _role(export: Export, signature: Signature, name: str) -> str:
    """The role of an input, as a reader should see it."""
    if any(each.name == signature.name for each in export.training()):
        return "training" if name.startswith(TRAINING_PREFIXES) else "feature"
    role = export.role(signature, name)
    declared = export.declared(signature.name)
    if role == "undeclared":
        return "undeclared"
    if role in NOT_FOR_SERVING:
        return "training"
    if declared is not None and name in declared.inputs and declared.inputs[name].role in ("length", "request"):
        return declared.inputs[name].role
    return {"perhaps_for_training": "suspect", "feature": "feature"}.get(role, "unknown")


def _type(info: TensorInfo) -> str:
    """`float32 [?, 5]`."""
    if info.shape is None:
        return f"{info.dtype} of any rank"
    return f"{info.dtype} [{', '.join('?' if size is None else str(size) for size in info.shape)}]"
