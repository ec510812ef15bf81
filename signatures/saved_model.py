"""A SavedModel as plain data: signatures, the graph, its functions, its assets.

Nothing here knows protobuf or TensorFlow, so that rules and their examples work on values made by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, FrozenSet, Iterator, Mapping, NamedTuple, Optional, Set, Tuple

Shape = Optional[Tuple[Optional[int], ...]]
"""None is an unknown rank, a None within is a free dimension."""


VARIABLES = ("VarHandleOp", "VariableV2", "Variable")


class FunctionReference(str):
    """The value of an attribute that names a function."""


class Node(NamedTuple):
    """One operation. `inputs` as TensorFlow writes them: `name`, `name:1`, in functions `name:output:1`, `^control`."""

    name: str
    op: str
    inputs: Tuple[str, ...] = ()
    attributes: Mapping[str, Any] = {}  # only read: int, float, bool, bytes, dtype, shape, FunctionReference, tuples
    functions: Tuple[str, ...] = ()
    """Every function that an attribute names, whatever the op does with it."""
    device: str = ""
    """Where it was told to run, such as `/device:GPU:0`; mostly empty."""
    content_bytes: int = 0
    """Bytes of the constants among its attributes; 0 where they are few (below 64 KiB)."""


@dataclass(frozen=True)
class Graph:
    """The main graph, or the body of a function; the main graph has no name, no arguments and no returns."""

    name: str
    nodes: Mapping[str, Node]
    arguments: Tuple[str, ...] = ()
    returns: Tuple[str, ...] = ()
    """What is returned, in the order of the outputs: tensors of the body."""
    return_names: Tuple[str, ...] = ()
    control_returns: Tuple[str, ...] = ()
    """Nodes that run at every call, although nothing they compute is returned."""
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Place(NamedTuple):
    """A node, and the function it is in; the main graph's name is empty."""

    graph: str
    node: Node

    def __str__(self) -> str:
        within = f" of function {self.graph}" if self.graph else ""
        return f"{self.node.op} {self.node.name!r}{within}"


@dataclass(frozen=True)
class TensorInfo:
    """One input or output of a signature; a sparse or ragged one has several tensors."""

    tensors: Tuple[str, ...]
    dtype: str
    shape: Shape

    def without_rows(self) -> Optional[str]:
        """Why its first axis is not the rows of a request, as the end of a sentence; None where it is free."""
        if self.shape is None:
            return "has an unknown rank"
        if not self.shape:
            return "is a scalar"
        return None if self.shape[0] is None else f"always has {self.shape[0]} rows"


@dataclass(frozen=True)
class Signature:
    """One served function."""

    name: str
    method: str
    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]
    defaults: FrozenSet[str] = frozenset()
    """Inputs that a gRPC client may leave out."""


@dataclass(frozen=True)
class Asset:
    """A file that the init op reads: its name below `assets/`, and the tensor that receives its path."""

    tensor: str
    filename: str
    present: bool


@dataclass(frozen=True)
class Variable:
    """A variable that the graph declares. Its name is its shared name, else its node's."""

    name: str
    node: str
    dtype: str
    shape: Shape


@dataclass(frozen=True)
class SavedModel:
    """One meta graph of a SavedModel, the one that a server loads."""

    path: Path
    tags: FrozenSet[str]
    signatures: Mapping[str, Signature]
    graph: Graph
    functions: Mapping[str, Graph]
    assets: Tuple[Asset, ...] = ()
    init: Tuple[str, ...] = ()
    """Nodes of the main graph that run once when the model is loaded."""
    serve_meta_graphs: int = 1
    """How many of the file's meta graphs are tagged `serve`."""
    same_tags: int = 1
    """How many of them have the same tags as this one."""
    file_bytes: int = 0
    """Size of `saved_model.pb`."""
    variable_bytes: int = 0
    """Size of the files below `variables/`, where the values are."""

    def variables(self) -> Iterator[Variable]:
        """The variables that the main graph declares, in its order; one that several nodes name comes once."""
        seen: Set[str] = set()
        for node in self.graph.nodes.values():
            if node.op in VARIABLES:
                shared = node.attributes.get("shared_name", b"")
                name = (shared.decode(errors="replace") if isinstance(shared, bytes) else "") or node.name
                if name not in seen:
                    seen.add(name)
                    dtype, shape = node.attributes.get("dtype", ""), node.attributes.get("shape")
                    yield Variable(name, node.name, str(dtype), shape if isinstance(shape, tuple) else None)


def tensor_name(reference: str) -> str:
    """`node` and `node:0` are one tensor of the main graph: the second form."""
    return reference if ":" in reference else reference + ":0"


def node_name(reference: str) -> str:
    """The node of `node`, `node:1`, `node:output:1` or `^node`."""
    return reference.lstrip("^").partition(":")[0]
