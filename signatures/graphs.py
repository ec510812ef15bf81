"""Graphs, functions and their attributes out of protobuf messages, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Dict, Iterator, List, Tuple

from signatures.errors import UsageError
from signatures.saved_model import FunctionReference, Graph, Node, Shape

# tensorflow.DataType; a reference type (TF1 variables) is its type plus 100.
DTYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    8: "complex64",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    20: "resource",
    21: "variant",
    22: "uint32",
    23: "uint64",
}


def shape(proto: Any) -> Shape:
    """A TensorShapeProto: None for an unknown rank, None within for a free dimension."""
    return None if proto.unknown_rank else tuple(None if dim.size < 0 else int(dim.size) for dim in proto.dim)


def dtype(number: int) -> str:
    """The name of a DataType, as numpy and the manifest have it."""
    return DTYPES.get(number % 100, f"type {number}")


def nodes(found: Any, where: str) -> Dict[str, Node]:
    """Nodes by name. `where` says in messages whose they are; raises UsageError when two have one name."""
    converted = {
        node.name: Node(node.name, node.op, tuple(node.input), _Attributes(node.attr), _named_functions(node.attr))
        for node in found
    }
    if len(converted) != len(found):
        raise UsageError(f"two nodes of {where} have the same name; the file is damaged, export the model again")
    return converted


def function(proto: Any) -> Graph:
    """A FunctionDef: body, and returns in the order of its outputs. Raises UsageError when one is lacking."""
    name = proto.signature.name
    outputs = tuple(each.name for each in proto.signature.output_arg)
    missing = [each for each in outputs if each not in proto.ret]
    if missing:
        raise UsageError(f"function {name!r} does not say what its output {missing[0]!r} is; export the model again")
    return Graph(
        name=name,
        nodes=nodes(proto.node_def, f"function {name!r}"),
        arguments=tuple(each.name for each in proto.signature.input_arg),
        returns=tuple(proto.ret[each] for each in outputs),
        return_names=outputs,
        control_returns=tuple(sorted(set(proto.control_ret.values()))),
        attributes=_Attributes(proto.attr),
    )


def _named_functions(attributes: Any) -> Tuple[str, ...]:
    """The functions that a node's attributes name. Asked of every node, so without converting anything."""
    names: List[str] = []
    for value in attributes.values():
        kind = value.WhichOneof("value")
        if kind == "func":
            names.append(value.func.name)
        elif kind == "list":
            names += [each.name for each in value.list.func]
    return tuple(names)


class _Attributes(Mapping[str, Any]):
    """Attributes of a node, converted when asked for: a graph has a hundred times more of them than rules read."""

    def __init__(self, found: Any) -> None:
        self._found = found

    def __getitem__(self, name: str) -> Any:
        if name not in self._found:  # a map of messages would insert it
            raise KeyError(name)
        return _value(self._found[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def _value(proto: Any) -> Any:
    """An AttrValue as a Python value; tensors are left out, as bytes(0)."""
    kind = proto.WhichOneof("value")
    if kind == "func":
        return FunctionReference(proto.func.name)
    if kind == "type":
        return dtype(proto.type)
    if kind == "shape":
        return shape(proto.shape)
    if kind == "list":
        return _values(proto.list)
    return getattr(proto, kind) if kind in ("s", "i", "f", "b", "placeholder") else b""


def _values(proto: Any) -> Tuple[Any, ...]:
    """A list attribute; only one of its fields is ever filled."""
    converted: List[Any] = [FunctionReference(each.name) for each in proto.func]
    converted += [dtype(each) for each in proto.type]
    converted += [shape(each) for each in proto.shape]
    return tuple(converted) + tuple(proto.s) + tuple(proto.i) + tuple(proto.f) + tuple(proto.b)
