"""What one output of a node needs: which of its inputs, and which returns of the functions that it calls."""

from __future__ import annotations

from typing import NamedTuple, Set, Tuple

from signatures import ops
from signatures.callees import callees_of, is_branch, is_call, is_loop, named, passed_on
from signatures.saved_model import Node
from signatures.sources import Library, Mask, bits


class Needs(NamedTuple):
    """Places of data inputs, and (function, place of a return)."""

    inputs: Tuple[int, ...]
    returns: Tuple[Tuple[str, int], ...]


def needs(library: Library, node: Node, index: int, inputs: int) -> Needs:
    """Which of its so many data inputs, and which returns of its functions, change an output of a node."""
    if node.op == "IdentityN":
        return Needs((index,), ())
    if node.op in ops.FORWARDS:
        return Needs((0,), ())
    callees = callees_of(library, node)
    if not callees:
        return Needs(tuple(range(inputs)), ())
    library.spend(inputs)
    if is_loop(library, node, callees, inputs) and index < inputs:
        return _loop(library, node, index)
    if is_branch(library, node, callees, inputs):
        own = {1 + each for name in callees for each in argument_places(library, name, index)}
        return Needs((0, *sorted(own)), tuple((name, index) for name in callees))
    if is_call(library, node, callees, inputs):
        return Needs(tuple(sorted(argument_places(library, callees[0], index))), ((callees[0], index),))
    returns = ((name, place) for name in callees for place in range(len(library.summaries[name].outputs)))
    return Needs(tuple(range(inputs)), tuple(returns))


def argument_places(library: Library, function: str, index: int) -> Set[int]:
    """The arguments whose value or shape changes a return."""
    outputs = library.summaries[function].outputs
    half = library.width >> 1
    mask: Mask = outputs[index] if index < len(outputs) else 0
    return {bit if bit < half else bit - half for bit in bits(mask & ((1 << library.width) - 1))}


def _loop(library: Library, node: Node, index: int) -> Needs:
    """The variables that one variable of a loop depends on over the turns."""
    condition, body = named(node, "cond"), named(node, "body")
    if passed_on(library.summaries[body], index) == index:
        return Needs((index,), ())
    needed = {index, *argument_places(library, condition, 0)}
    pending = sorted(needed)
    while pending:
        new = argument_places(library, body, pending.pop()) - needed
        library.spend(1 + len(new))
        pending.extend(new)
        needed |= new
    places = tuple(sorted(needed))
    return Needs(places, ((condition, 0), *((body, place) for place in places)))
