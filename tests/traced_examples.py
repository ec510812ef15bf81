"""What the tracer says of small models, written in the notation of signatures.examples, with the inputs a, b and m."""

from __future__ import annotations

from typing import FrozenSet, Set

from signatures.examples import build

HEAD = """
input a float32[?]
input b float32[?]
input m float32[?]
"""


def inputs(body: str, output: str = "score") -> FrozenSet[str]:
    """The inputs among a, b, m that can change an output of the signature."""
    return build(HEAD + body).trace("serving_default").inputs(output)


def running(body: str, signature: str = "serving_default") -> Set[str]:
    """Names of the nodes that run."""
    return {place.node.name for place in build(HEAD + body).trace(signature).running}


def live(body: str) -> Set[str]:
    """Names of the nodes that can change an output."""
    return {place.node.name for place in build(HEAD + body).trace("serving_default").live}
