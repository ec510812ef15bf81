"""Which functions a node calls, and how its inputs and outputs match their arguments and returns."""

from __future__ import annotations

from typing import Sequence, Tuple

from signatures import ops
from signatures.saved_model import FunctionReference, Node
from signatures.sources import Library, Summary


def callees_of(library: Library, node: Node) -> Tuple[str, ...]:
    """The functions that a node may call; in old graphs the op itself is the name of one."""
    return (*node.functions, node.op) if node.op in library.functions else node.functions


def fits(library: Library, callees: Sequence[str], passed: int) -> bool:
    """Whether inputs and arguments can be matched one by one; a list argument takes several inputs."""
    return all(len(library.functions[name].arguments) == passed for name in callees)


def is_call(library: Library, node: Node, callees: Sequence[str], passed: int) -> bool:
    """Whether a node is a call of one function, each input an argument of it."""
    return node.op in ops.CALLS and len(callees) == 1 and fits(library, callees, passed)


def is_branch(library: Library, node: Node, callees: Sequence[str], passed: int) -> bool:
    """Whether a node calls one of several functions, as its first input says, with its other inputs."""
    return node.op in ops.BRANCHES and bool(callees) and fits(library, callees, passed - 1)


def is_loop(library: Library, node: Node, callees: Sequence[str], passed: int) -> bool:
    """Whether a loop has both its functions, and they take and give back each of its variables."""
    if node.op not in ops.LOOPS:
        return False
    condition, body = (library.summaries.get(named(node, name)) for name in ("cond", "body"))
    if condition is None or body is None or not fits(library, callees, passed):
        return False
    return len(body.outputs) == passed and len(condition.outputs) == 1


def named(node: Node, attribute: str) -> str:
    """The function that an attribute names; empty when it names none."""
    value = node.attributes.get(attribute, "")
    return value if isinstance(value, FunctionReference) else ""


def passed_on(summary: Summary, index: int) -> int:
    """The argument that a return is, unchanged; -1 when it is computed."""
    place = summary.passes[index] if index < len(summary.passes) else None
    return -1 if place is None else place


def handed_on(library: Library, node: Node, index: int, passed: int) -> int:
    """The place of the data input, of so many passed, that an output of this node is unchanged; -1 when computed."""
    if node.op in ops.FORWARDS:
        return 0
    if node.op == "IdentityN":
        return index
    callees = callees_of(library, node)
    if not callees:
        return -1
    if is_call(library, node, callees, passed):
        return passed_on(library.summaries[callees[0]], index)
    if is_loop(library, node, callees, passed):
        return index if passed_on(library.summaries[named(node, "body")], index) == index else -1
    if is_branch(library, node, callees, passed):
        places = {passed_on(library.summaries[name], index) for name in callees}
        return 1 + places.pop() if len(places) == 1 and -1 not in places else -1
    return -1
