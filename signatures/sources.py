"""Sets of sources, and what is known of each function: the vocabulary of the dataflow analysis.

A set of sources is one integer, a bit per source. The low bits are the arguments of the function at hand; the bits from
`Library.width` on are *origins*, which mean the same in the whole model: an input of the signature, a variable.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple

from signatures.saved_model import Graph

Mask = int


class Origin(NamedTuple):
    """A source outside every function. kind: input, placeholder, asset, resource or file."""

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


@dataclass(frozen=True)
class Solution:
    """The sources of each node that the roots of a graph need, one per output; a lone one stands for all outputs."""

    masks: Mapping[str, Tuple[Mask, ...]]
    writes: Mapping[int, Mask]


@dataclass
class Library:
    """The functions of a model, and what has been found out about them so far."""

    functions: Mapping[str, Graph]
    width: int
    origins: Dict[Origin, int] = field(default_factory=dict)
    summaries: Dict[str, Summary] = field(default_factory=dict)
    solutions: Dict[str, Solution] = field(default_factory=dict)

    def bit(self, origin: Origin) -> int:
        """The place of an origin's bit, the same at every call."""
        return self.origins.setdefault(origin, self.width + len(self.origins))


def library(functions: Mapping[str, Graph]) -> Library:
    """A library in which nothing is solved yet."""
    return Library(functions, width=max((len(each.arguments) for each in functions.values()), default=0))


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


def substitute(mask: Mask, arguments: Sequence[Mask], width: int) -> Mask:
    """The sources of a callee in terms of its caller's: each argument bit replaced by what was passed for it."""
    result = mask >> width << width
    for bit in bits(mask & ((1 << width) - 1)):
        result |= arguments[bit]
    return result
