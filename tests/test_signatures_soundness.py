"""Random programs: an input whose change is seen in an output must be among those that the tracer says can change it.

The programs call functions, branch, loop and look at shapes; an interpreter of a few lines runs them. Its tensors are
pairs of small integers: what is in the tensor, and how many cells it has.
"""

from __future__ import annotations

from typing import Dict, List, Sequence, Tuple

from hypothesis import given, settings
from hypothesis import strategies as st

from signatures.examples import build
from signatures.export import Export
from signatures.references import data_inputs, resolve
from signatures.saved_model import Graph, Node

WIDTH = 3
"""Every function takes and returns this many values; so do calls, branches and loops."""
TURNS = 4
TAKEN = {"AddV2": 2, "Shape": 1, "Const": 0, "OnesLike": 1, "Where": 1, "Reshape": 2}
"""The ops of one output, and how many inputs they have."""


Tensor = Tuple[int, int]


def evaluate(export: Export, graph: Graph, given_values: Dict[str, Tensor], reference: str) -> Tensor:
    """A tensor of a graph; recursion is fine here, for the programs are small."""
    name, key, index = resolve(graph, reference)
    if key in given_values or name in given_values:
        return given_values.get(key, given_values.get(name, (0, 0)))
    node = graph.nodes[name]
    values = [evaluate(export, graph, given_values, each) for each in data_inputs(node)]
    return compute(export, node, values)[index]


def compute(export: Export, node: Node, values: List[Tensor]) -> Sequence[Tensor]:
    """The outputs of one node."""
    if node.op == "Const":
        return ((1, 1),)
    if node.op == "AddV2":
        return ((values[0][0] + values[1][0], max(values[0][1], values[1][1])),)
    if node.op == "Shape":
        return ((values[0][1], 1),)
    if node.op == "OnesLike":
        return ((values[0][1], values[0][1]),)  # their sum is what a program sees of them
    if node.op == "Where":
        return ((values[0][0] + 1, values[0][0] % 4),)
    if node.op == "Reshape":
        return ((values[0][0], values[1][0] % 5),)
    if node.op == "IdentityN":
        return values
    if node.op == "PartitionedCall":
        return call(export, node.attributes["f"], values)
    if node.op == "StatelessIf":
        return call(export, node.attributes["then_branch" if values[0][0] % 2 else "else_branch"], values[1:])
    assert node.op == "StatelessWhile"
    for _ in range(TURNS):
        if call(export, node.attributes["cond"], values)[0][0] % 3 == 0:
            break
        values = list(call(export, node.attributes["body"], values))
    return values


def call(export: Export, name: str, values: Sequence[Tensor]) -> List[Tensor]:
    graph = export.model.functions[name]
    passed = dict(zip(graph.arguments, values))
    return [evaluate(export, graph, passed, each) for each in graph.returns]


@st.composite
def programs(draw: st.DrawFn) -> Tuple[str, List[str]]:
    """The text of a program, and its outputs."""
    lines: List[str] = []
    count = draw(st.integers(1, 4))
    for number in range(count):
        arguments = [f"a{n}" for n in range(WIDTH)]
        body, tensors = draw(bodies(arguments, number, "function"))
        returns = [draw(st.sampled_from(tensors)) for _ in range(WIDTH)]
        lines.append(f"function f{number}({', '.join(arguments)}) -> {', '.join(returns)}")
        lines += [f"  {line}" for line in body]
        lines.append(f"function c{number}({', '.join(arguments)}) -> {draw(st.sampled_from(arguments))}")
    body, tensors = draw(bodies([f"x{n}" for n in range(WIDTH)], count, "main"))
    head = [f"input x{n} int64[?]" for n in range(WIDTH)]
    outputs = [f"output y{n} int64[?] = {draw(st.sampled_from(tensors))}" for n in range(WIDTH)]
    return "\n".join([*head, *body, *lines, *outputs]), [f"y{n}" for n in range(WIDTH)]


@st.composite
def bodies(draw: st.DrawFn, tensors: List[str], functions: int, where: str) -> Tuple[List[str], List[str]]:
    """Nodes that may call the functions numbered below `functions`, and all tensors they make."""
    lines: List[str] = []
    tensors = list(tensors)
    for number in range(draw(st.integers(1, 4))):
        ops = ["AddV2", "Shape", "Const", "IdentityN", "OnesLike", "Where", "Reshape"]
        ops += ["PartitionedCall", "StatelessIf", "StatelessWhile"] * 2 if functions else []
        op = draw(st.sampled_from(ops))
        one = st.sampled_from(tensors)
        taken = {**TAKEN, "StatelessIf": WIDTH + 1}.get(op, WIDTH)
        chosen = f"f{draw(st.integers(0, functions - 1))}" if functions else ""
        other = f"{draw(st.integers(0, functions - 1))}" if functions else ""
        attributes = {
            "PartitionedCall": f" f=@{chosen}",
            "StatelessIf": f" then_branch=@{chosen} else_branch=@f{other}",
            "StatelessWhile": f" cond=@c{other} body=@{chosen}",
        }.get(op, "")
        lines.append(f"n{number} = {op} {' '.join(draw(one) for _ in range(taken))}{attributes}")
        made = 1 if op in TAKEN else WIDTH
        tensors += [f"n{number}:out:{n}" if where == "function" else f"n{number}:{n}" for n in range(made)]
    return lines, tensors


@settings(max_examples=400, deadline=None)
@given(
    programs(),
    st.lists(st.integers(0, 6), min_size=WIDTH, max_size=WIDTH),
    st.integers(0, WIDTH - 1),
    st.integers(1, 6),
)
def test_no_change_goes_unseen(program: Tuple[str, List[str]], values: List[int], changed: int, by: int) -> None:
    text, outputs = program
    export = build(text)
    signature = export.model.signatures["serving_default"]
    trace = export.trace("serving_default")
    before = {f"x{n}:0": (value, 3) for n, value in enumerate(values)}
    after = {**before, f"x{changed}:0": (values[changed] + by, 3)}
    for output in outputs:
        (tensor,) = signature.outputs[output].tensors
        graph = export.model.graph
        # What is in it: a shape that nobody looks at is no answer.
        if evaluate(export, graph, before, tensor)[0] != evaluate(export, graph, after, tensor)[0]:
            assert f"x{changed}" in trace.inputs(output), text
        for name in trace.inputs(output):
            assert export.where(signature, output, name) != " through a variable that the same request writes"
