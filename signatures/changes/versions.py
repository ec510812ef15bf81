"""Two versions of a model side by side: what is in both, what went, what came, and what seems to be only renamed."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Callable, Dict, Iterator, List, Literal, Mapping, NamedTuple, Sequence, Tuple, TypeVar

from signatures.export import Export
from signatures.saved_model import Shape, Signature, TensorInfo

Kind = Literal["input", "output"]
SIMILAR = 0.6
"""How alike two names must be, of 1, to be taken for one that was changed."""

Thing = TypeVar("Thing")


class Pair(NamedTuple):
    """A signature of both versions."""

    old: Signature
    new: Signature

    @property
    def name(self) -> str:
        return self.old.name


class Tensor(NamedTuple):
    """An input or an output that both versions have."""

    signature: str
    kind: Kind
    name: str
    old: TensorInfo
    new: TensorInfo


@dataclass(frozen=True)
class Versions:
    """The version that is served, and the one that shall replace it."""

    old: Export
    new: Export

    def pairs(self) -> Iterator[Pair]:
        """The signatures that both have."""
        for name, signature in self.old.model.signatures.items():
            if name in self.new.model.signatures:
                yield Pair(signature, self.new.model.signatures[name])

    def renamed(self) -> Dict[str, str]:
        """Old name -> new name of the signatures that have the same inputs and outputs and a similar name."""
        return _renamed(self.old.model.signatures, self.new.model.signatures, _same_signature)

    def tensors(self) -> Iterator[Tensor]:
        """The inputs and outputs that both have."""
        for pair in self.pairs():
            kinds: Tuple[Kind, Kind] = ("input", "output")
            for kind in kinds:
                before, after = tensors_of(pair.old, kind), tensors_of(pair.new, kind)
                for name in sorted(before.keys() & after.keys()):
                    yield Tensor(pair.name, kind, name, before[name], after[name])


def tensors_of(signature: Signature, kind: Kind) -> Mapping[str, TensorInfo]:
    """Its inputs, or its outputs."""
    return signature.inputs if kind == "input" else signature.outputs


def renamed(pair: Pair, kind: Kind) -> Dict[str, str]:
    """Old name -> new name of what seems to be only renamed: the same dtype and shape, and a similar name."""
    return _renamed(tensors_of(pair.old, kind), tensors_of(pair.new, kind), _same_tensor)


def removed(pair: Pair, kind: Kind) -> List[str]:
    """What is gone, and not under another name."""
    gone = tensors_of(pair.old, kind).keys() - tensors_of(pair.new, kind).keys()
    return sorted(gone - renamed(pair, kind).keys())


def added(pair: Pair, kind: Kind) -> List[str]:
    """What is new, and not under another name before."""
    came = tensors_of(pair.new, kind).keys() - tensors_of(pair.old, kind).keys()
    return sorted(came - set(renamed(pair, kind).values()))


def allows(wide: Shape, narrow: Shape) -> bool:
    """True when every tensor of the second shape has the first one."""
    if wide is None:
        return True
    if narrow is None or len(wide) != len(narrow):
        return False
    return all(size is None or size == other for size, other in zip(wide, narrow))


def _renamed(
    before: Mapping[str, Thing], after: Mapping[str, Thing], same: Callable[[Thing, Thing], bool]
) -> Dict[str, str]:
    """The most alike first; a name is used once."""
    gone = [name for name in before if name not in after]
    came = [name for name in after if name not in before]
    likely = [
        (-similarity(old, new), old, new)
        for old, new in _product(gone, came)
        if same(before[old], after[new]) and similarity(old, new) >= SIMILAR
    ]
    found: Dict[str, str] = {}
    for _, old, new in sorted(likely):
        if old not in found and new not in found.values():
            found[old] = new
    return found


def _product(gone: Sequence[str], came: Sequence[str]) -> Iterator[Tuple[str, str]]:
    if len(gone) * len(came) > 10_000:
        return  # another model altogether: nobody renames so much
    for old in gone:
        for new in came:
            yield old, new


def similarity(old: str, new: str) -> float:
    """How alike two names are, 0 to 1: by letters, or by words in any order; one with a word more is quite alike."""
    letters = difflib.SequenceMatcher(None, old.lower(), new.lower(), autojunk=False).ratio()
    left, right = _words(old), _words(new)
    shared = len(left & right) / max(min(len(left), len(right)), 1)
    return max(letters, 1.0 if left == right else 0.8 * shared)


def _words(name: str) -> set[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return {word.lower() for word in re.split(r"[\W_]+", spaced) if word}


def _same_tensor(old: TensorInfo, new: TensorInfo) -> bool:
    return (old.dtype, old.shape) == (new.dtype, new.shape)


def _same_signature(old: Signature, new: Signature) -> bool:
    sides = ((old.inputs, new.inputs), (old.outputs, new.outputs))
    return old.method == new.method and all(
        before.keys() == after.keys() and all(_same_tensor(before[name], after[name]) for name in before)
        for before, after in sides
    )
