"""What the clients of a signature give: its inputs, or the keys of the tf.Examples that one of them carries."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Sequence, Set

from signatures import parsing
from signatures.saved_model import SavedModel, Signature
from signatures.sources import Origin
from signatures.trace import Trace


class Given(NamedTuple):
    """One thing that clients give."""

    name: str
    called: str
    """As a message calls it."""
    origin: Origin
    required: bool
    """False for a key that the graph has a default for: a client may leave it out."""


def given(model: SavedModel, signature: Signature, trace: Trace) -> Sequence[Given]:
    """The inputs of a signature; in place of one that carries serialized tf.Examples, the keys parsed out of it."""
    carriers: Dict[str, List[str]] = {}
    for key, inputs in trace.parsed.items():
        for name in inputs:
            carriers.setdefault(name, []).append(key)
    required = _required(model, trace) if carriers else set()
    found: Dict[str, Given] = {}
    for name in signature.inputs:
        if name not in carriers:
            found[name] = Given(name, f"input {name!r}", Origin("input", name), name not in signature.defaults)
        for key in sorted(carriers.get(name, ())):
            called = f"key {key!r} of the tf.Examples in input {name!r}"
            found.setdefault(key, Given(key, called, Origin("parsed", key), key in required))
    return tuple(found.values())


def _required(model: SavedModel, trace: Trace) -> Set[str]:
    """The keys that some parser has no default for."""
    found: Set[str] = set()
    for place in trace.running:
        if place.node.op in parsing.PARSERS:
            graph = model.functions[place.graph] if place.graph else model.graph
            keys = parsing.keys(graph, place.node)
            found.update(output.key for output in keys.outputs if output.required) if keys else None
    return found
