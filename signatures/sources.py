"""Sets of sources, and what is known of each function: the vocabulary of the dataflow analysis.

A set of sources is one integer, a bit per source. The low `Library.width` bits are the arguments of the function at
hand: in their lower half the values of the arguments, in their upper half the arguments' shapes. The bits above are
*origins*, which mean the same in the whole model: an input of the signature, a variable.

Value and shape are kept apart because `Shape`, `Size` and their like see the shape alone. Of an input it says nothing
but how many rows were asked for; of `boolean_mask(x, mask)` it says what is in the mask.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple

from signatures.errors import UsageError
from signatures.saved_model import Graph, Node

Mask = int
Readers = Mapping[str, Sequence[Tuple[Node, int, str]]]
"""Node or argument -> the nodes that read it, as which of their data inputs, and how they write it."""

LIMIT = 4_000_000
"""Steps a model may take to trace. One of 100,000 nodes and five signatures takes a quarter."""


class Origin(NamedTuple):
    """A source outside every function. kind: input, parsed (a key of a parsed tf.Example), placeholder, asset,
    resource or file."""

    kind: str
    name: str
    graph: str = ""


@dataclass(frozen=True)
class Summary:
    """What a function does with its arguments."""

    outputs: Tuple[Mask, ...]
    passes: Tuple[Optional[int], ...]
    """Per output: the argument that it is, unchanged."""
    writes: Mapping[int, Mask]
    """Bit of a handle -> the sources of what may be written there."""
    shapes: Tuple[Mask, ...] = ()
    """Per output: the sources of its shape."""


@dataclass(frozen=True)
class Solution:
    """The sources of each node that the roots of a graph need, one per output; a lone one stands for all outputs."""

    masks: Mapping[str, Tuple[Mask, ...]]
    writes: Mapping[int, Mask]
    shapes: Mapping[str, Tuple[Mask, ...]] = field(default_factory=dict)
    """The sources of their shapes; nodes without any are left out."""


@dataclass
class Library:
    """The functions of a model, and what has been found out about them so far."""

    functions: Mapping[str, Graph]
    width: int
    origins: Dict[Origin, int] = field(default_factory=dict)
    summaries: Dict[str, Summary] = field(default_factory=dict)
    solutions: Dict[str, Solution] = field(default_factory=dict)
    steps: int = 0
    readers: Dict[str, Readers] = field(default_factory=dict)
    """Graph -> the readers of each of its tensors, where somebody asked for them."""

    def bit(self, origin: Origin) -> int:
        """The place of an origin's bit, the same at every call."""
        return self.origins.setdefault(origin, self.width + len(self.origins))

    def spend(self, steps: int) -> None:
        """Counts work. Raises UsageError when a graph asks for more than any honest one does."""
        self.steps += steps
        if self.steps > LIMIT:
            raise UsageError(
                f"the graph is too entangled: tracing it takes more than {LIMIT:,} steps; export fewer signatures"
            )


def library(functions: Mapping[str, Graph]) -> Library:
    """A library in which nothing is solved yet."""
    return Library(functions, width=2 * max((len(each.arguments) for each in functions.values()), default=0))


def bits(mask: Mask) -> Iterator[int]:
    """The places of the ones, lowest first."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def union(masks: Sequence[Mask]) -> Mask:
    """All sources of any of them."""
    result = 0
    for mask in masks:
        result |= mask
    return result


def substitute(mask: Mask, arguments: Sequence[Mask], width: int, shapes: Sequence[Mask] = ()) -> Mask:
    """The sources of a callee in terms of its caller's: each argument bit replaced by what was passed for it.

    shapes: the sources of the shapes of what was passed; left out where nobody asks for them.
    """
    if not mask:
        return 0
    result = mask >> width << width
    low = mask ^ result
    if low:
        half = width >> 1
        for bit in bits(low):
            if bit < half:
                result |= arguments[bit]
            elif shapes:
                result |= shapes[bit - half]
    return result
