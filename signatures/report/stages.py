"""A flow condensed to what a person can take in: one stage for all steps that the same inputs can change.

Where paths meet, the set of inputs grows, so stages are the lattice of what has met what: a recommender's encoders, its
towers and their product appear without anybody naming them. The smallest stages are merged until STAGES are left.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import AbstractSet, Dict, Iterable, List, Mapping, Set, Tuple

from signatures.report.steps import Flow
from signatures.report.words import telling
from signatures.sources import Mask, bits

STAGES = 9
"""And one more for every second input: a list and its length meet before anything else does."""


@dataclass
class Stage:
    """Some steps, by their place in the flow."""

    inputs: Mask
    steps: List[int] = field(default_factory=list)
    takes: Dict[int, Mask] = field(default_factory=dict)
    """Stage, or ~i for input i -> the inputs whose value comes along."""

    @property
    def single(self) -> bool:
        """True when one input alone has come here."""
        return self.inputs & (self.inputs - 1) == 0


@dataclass(frozen=True)
class Stages:
    """Stages by number, each after what it takes, and what each output takes."""

    stages: Mapping[int, Stage]
    outputs: Mapping[str, Mapping[int, Mask]]


def condense(flow: Flow, kept: AbstractSet[int], inputs: int) -> Stages:
    """The stages of a flow with so many inputs. Stages with one of the kept steps stay as they are."""
    order = sorted({each.inputs for each in flow.steps}, key=lambda mask: (bin(mask).count("1"), mask))
    number = {mask: place for place, mask in enumerate(order)}
    stages = {place: Stage(mask) for mask, place in number.items()}
    for step, found in enumerate(flow.steps):
        stages[number[found.inputs]].steps.append(step)
    for step, sources in flow.taken.items():
        target = number[flow.steps[step].inputs]
        _take(stages[target].takes, flow, number, sources, target)
    outputs: Dict[str, Dict[int, Mask]] = {}
    for name, sources in flow.outputs.items():
        _take(outputs.setdefault(name, {}), flow, number, sources, len(stages))
    fixed = {number[flow.steps[each].inputs] for each in kept}
    ends = {each for taken in outputs.values() for each in taken}
    _dissolve(flow, stages, fixed | ends)
    _merge(stages, outputs, fixed, STAGES + inputs // 2)
    return Stages(stages, outputs)


def _take(taken: Dict[int, Mask], flow: Flow, number: Mapping[Mask, int], sources: Iterable[int], before: int) -> None:
    for source in sources:
        carried = 1 << ~source if source < 0 else flow.steps[source].inputs
        place = source if source < 0 else number[carried]
        if place < before:
            taken[place] = taken.get(place, 0) | carried


def _dissolve(flow: Flow, stages: Dict[int, Stage], fixed: AbstractSet[int]) -> None:
    """Leaves out the stages of one input that only reshape or cast it: their input goes on directly."""
    for place, stage in list(stages.items()):
        if not stage.single or place in fixed or any(telling(flow.steps[each].place.node) for each in stage.steps):
            continue
        taken = next(bits(stage.inputs))
        for other in stages.values():
            if place in other.takes:
                del other.takes[place]
                other.takes[~taken] = 1 << taken
        del stages[place]


def _merge(
    stages: Dict[int, Stage], outputs: Mapping[str, Dict[int, Mask]], fixed: AbstractSet[int], most: int
) -> None:
    """Merges the smallest stages into the first one after them. The first, since no way round can then lead back."""
    after: Dict[int, Set[int]] = {place: set() for place in stages}
    for place, stage in stages.items():
        for source in stage.takes:
            if source >= 0:
                after[source].add(place)
    ends = {each for taken in outputs.values() for each in taken}
    heap = [(len(stage.steps), place) for place, stage in stages.items() if not stage.single]
    heapq.heapify(heap)
    left = len(heap)
    while left > most and heap:
        size, place = heapq.heappop(heap)
        if place not in stages or size != len(stages[place].steps):
            continue
        later = min(after[place], default=-1)
        if later < 0 or later in fixed or place in fixed or place in ends:
            continue
        _join(stages, after, place, later)
        heapq.heappush(heap, (len(stages[later].steps), later))
        left -= 1


def _join(stages: Dict[int, Stage], after: Dict[int, Set[int]], place: int, later: int) -> None:
    gone, grown = stages.pop(place), stages[later]
    grown.steps += gone.steps
    grown.takes.pop(place, None)
    for source, carried in gone.takes.items():
        grown.takes[source] = grown.takes.get(source, 0) | carried
        if source >= 0:
            after[source].discard(place)
            after[source].add(later)
    for other in after.pop(place) - {later}:
        taken = stages[other].takes
        taken[later] = taken.get(later, 0) | taken.pop(place)
        after[later].add(other)


def layers(stages: Mapping[int, Stage]) -> Dict[int, int]:
    """How far from the inputs each stage is drawn: 1, or one further than all it takes."""
    found: Dict[int, int] = {}
    for place in sorted(stages):
        found[place] = 1 + max((found.get(each, 0) for each in stages[place].takes if each >= 0), default=0)
    return found


def leaves(stages: Stages, inputs: int) -> List[int]:
    """The inputs in an order in which those that meet first are neighbours; unused ones last."""
    order: List[int] = []
    seen: Set[int] = set()
    pending: List[int] = [source for taken in reversed(list(stages.outputs.values())) for source in sorted(taken)]
    while pending:
        each = pending.pop()
        if each in seen:
            continue
        seen.add(each)
        if each < 0:
            order.append(~each)
        else:
            taken = stages.stages[each].takes
            pending += sorted(taken, key=lambda source: _weight(stages.stages, source))
    return order + [each for each in range(inputs) if each not in set(order)]


def _weight(stages: Mapping[int, Stage], source: int) -> Tuple[int, int]:
    """Larger groups come first; inputs that go straight into a stage stand at the end of it."""
    size = bin(stages[source].inputs).count("1") if source >= 0 else 0
    return (size, -abs(source))
