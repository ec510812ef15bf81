"""What a stage is called: the name scope that most of it lies in, its most telling ops, the functions around it."""

from __future__ import annotations

import re
from collections import Counter
from typing import Iterable, List, Sequence

from signatures.report.steps import Step
from signatures.saved_model import Node

# What a reader recognises a stage by, the most telling first; anything else is arithmetic, or plumbing.
_TELLING = (
    re.compile(r".*(Lookup|Hash|Bucketize|Parse|Decode|StringTo|ResourceGather).*"),
    re.compile(r"(Stateless)?(While|If|Case)|.*(PartitionedCall|XlaLaunch|BatchFunction).*|.*(PyFunc|Random).*|.*>.*"),
    re.compile(r".*MatMul.*|Einsum|Conv.*|.*BatchNorm.*|.*RNN.*|.*LSTM.*"),
    re.compile(r"GatherV2|GatherNd|TopK.*|Softmax|.*Sparse.*|Sum|Mean|Concat.*|AddN"),
    re.compile(r"Mul|AddV?2?|Sub|RealDiv|Select(V2)?|Sigmoid|Relu|Tanh|Exp|Max|Min|Pack|Pow|Sq.*Diff.*|BiasAdd"),
)
_PREFIX = re.compile(r"^_*(inference|forward|backward)_+|_\d+$")


def telling(node: Node) -> bool:
    """True for an op by which a reader knows what is done with an input: looked up, gathered, cut into buckets."""
    return any(each.fullmatch(node.op) for each in _TELLING[:3])


def scope(steps: Sequence[Step]) -> str:
    """The deepest name scope that holds at least half of the steps; empty when there is none."""
    counts: Counter[str] = Counter()
    for step in steps:
        parts = step.place.node.name.split("/")[:-1]
        counts.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    deep = [name for name, count in counts.items() if count * 2 >= len(steps)]
    return max(deep, key=lambda name: (name.count("/"), counts[name]), default="")


def ops(steps: Iterable[Step], most: int) -> List[str]:
    """The most telling ops, in the order of the computation, each once."""
    found = list(dict.fromkeys(step.place.node.op for step in steps))
    ranked = sorted(found, key=_rank)[:most]
    return [re.sub(r"V\d$", "", op) for op in found if op in ranked]


def joined(words: Sequence[str], between: str, most: int) -> str:
    """As many of the words as fit into so many characters, the last ones left out."""
    kept = list(words)
    while len(kept) > 1 and len(between.join(kept)) > most:
        kept.pop()
    return middle(between.join(kept), most)


def function(name: str) -> str:
    """A function's name without what tracing puts around it: `__inference_serve_120` is `serve`."""
    return _PREFIX.sub("", _PREFIX.sub("", name)) or name


def middle(text: str, most: int) -> str:
    """The text, its middle left out where it is longer."""
    if len(text) <= most:
        return text
    kept = most - 1
    return text[: kept - kept // 2] + "…" + text[len(text) - kept // 2 :]


def last(text: str, most: int) -> str:
    """The end of a text, where it is longer: of a path, that is the telling part."""
    return text if len(text) <= most else "…" + text[len(text) - most + 1 :]


def _rank(op: str) -> int:
    return next((place for place, each in enumerate(_TELLING) if each.fullmatch(op)), len(_TELLING))
