"""Graphs, functions and their attributes out of protobuf messages, as plain data."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any, Dict, Iterator, List, Tuple

from signatures import ops, slimming
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

LONGEST_NAME = 1000
"""Letters in the name of an op or a function. They are matched against patterns, and stand in messages as they are."""


def shape(proto: Any) -> Shape:
    """A TensorShapeProto: None for an unknown rank, None within for a free dimension."""
    return None if proto.unknown_rank else tuple(None if dim.size < 0 else int(dim.size) for dim in proto.dim)


def dtype(number: int) -> str:
    """The name of a DataType, as numpy and the manifest have it."""
    return DTYPES.get(number % 100, f"type {number}")


def nodes(found: Any, where: str) -> Mapping[str, Node]:
    """Nodes by name, converted when first asked for: most files hold functions that nothing served reaches.

    `where` says in messages whose they are. Reading them raises UsageError when two have one name.
    """
    return _Nodes(found, where)


def functions(library: Any) -> Dict[str, Graph]:
    """The functions of a FunctionDefLibrary by name. Raises UsageError when two different ones have one name."""
    found: Dict[str, Any] = {}
    for proto in library.function:
        earlier = found.setdefault(proto.signature.name, proto)
        if earlier is not proto and earlier != proto:
            raise UsageError(f"two functions have the name {proto.signature.name[:80]!r}; export the model again")
    return {name: function(proto) for name, proto in found.items()}


def function(proto: Any) -> Graph:
    """A FunctionDef: body, and returns in the order of its outputs. Raises UsageError when one is lacking."""
    name = proto.signature.name
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise UsageError(f"a function has the name {name[:80]!r}; the file is damaged, export it again")
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
        attributes=_Attributes(proto),
    )


class _Nodes(Mapping[str, Node]):
    """The nodes of one graph."""

    __slots__ = ("_converted", "_found", "_where")

    def __init__(self, found: Any, where: str) -> None:
        self._found = found
        self._where = where
        self._converted: Dict[str, Node] = {}

    def __getitem__(self, name: str) -> Node:
        return (self._converted or self._all())[name]

    def get(self, name: str, default: Any = None) -> Any:
        return (self._converted or self._all()).get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._found)

    def _all(self) -> Dict[str, Node]:
        if not self._converted and len(self._found):
            self._converted = {node.name: _node(node) for node in self._found}
            if len(self._converted) != len(self._found):
                raise UsageError(
                    f"two nodes of {self._where} have the same name; the file is damaged, export the model again"
                )
        return self._converted


def _node(proto: Any) -> Node:
    op = proto.op
    if len(op) > LONGEST_NAME or not op.isprintable():
        raise UsageError(f"node {proto.name[:80]!r} has the op name {op[:80]!r}; the file is damaged, export it again")
    name, inputs, attributes = proto.name, tuple(proto.input), _Attributes(proto)
    if op != "Const" and ops.shaping(op) is not None:  # most of a graph: they call nothing and hold no constant
        return Node(name, op, inputs, attributes, (), proto.device)
    found = proto.attr
    content = found[slimming.CONTENT].i if slimming.CONTENT in found else 0
    return Node(name, op, inputs, attributes, _named_functions(found), proto.device, content)


def _named_functions(attributes: Any) -> Tuple[str, ...]:
    """The functions that a node's attributes name, without converting anything."""
    names: List[str] = []
    for value in attributes.values():
        kind = value.WhichOneof("value")
        if kind == "func":
            names.append(value.func.name)
        elif kind == "list":
            names += [each.name for each in value.list.func]
    return tuple(names)


class _Attributes(Mapping[str, Any]):
    """Attributes of a node or function, converted when asked for: a graph has far more of them than rules read."""

    __slots__ = ("_owner",)

    def __init__(self, owner: Any) -> None:
        self._owner = owner

    def __getitem__(self, name: str) -> Any:
        found = self._owner.attr
        if name not in found:  # a map of messages would insert it
            raise KeyError(name)
        return _value(found[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._owner.attr)

    def __len__(self) -> int:
        return len(self._owner.attr)


def _value(proto: Any) -> Any:
    """An AttrValue as a Python value; of tensors a few whole numbers (axes, shapes) and texts (keys), else bytes(0)."""
    kind = proto.WhichOneof("value")
    if kind == "func":
        return FunctionReference(proto.func.name)
    if kind == "type":
        return dtype(proto.type)
    if kind == "shape":
        return shape(proto.shape)
    if kind == "list":
        return _values(proto.list)
    if kind == "tensor":
        return tuple(proto.tensor.string_val) if proto.tensor.dtype == _STRING else _integers(proto.tensor)
    return getattr(proto, kind) if kind in ("s", "i", "f", "b", "placeholder") else b""


def _values(proto: Any) -> Tuple[Any, ...]:
    """A list attribute; only one of its fields is ever filled."""
    converted: List[Any] = [FunctionReference(each.name) for each in proto.func]
    converted += [dtype(each) for each in proto.type]
    converted += [shape(each) for each in proto.shape]
    return tuple(converted) + tuple(proto.s) + tuple(proto.i) + tuple(proto.f) + tuple(proto.b)


_STRING = 7
_WIDTHS = {3: "i", 9: "q"}
"""Whole numbers of these types are read; a struct code each."""
_FEW = 64


def _integers(proto: Any) -> Any:
    """A small tensor of int32 or int64, flat, or one of any type without a cell; bytes(0) for any other."""
    shape_of, code = shape(proto.tensor_shape), _WIDTHS.get(proto.dtype)
    if shape_of and 0 in shape_of:
        return ()
    if code is None or shape_of is None or None in shape_of:
        return b""
    count = math.prod(size or 0 for size in shape_of)
    if count > _FEW:
        return b""
    given: Tuple[int, ...] = tuple((proto.int_val if code == "i" else proto.int64_val)[:count])
    if not given and len(proto.tensor_content) == count * struct.calcsize(f"<{code}"):
        return struct.unpack(f"<{count}{code}", proto.tensor_content)
    return given + (given[-1:] or (0,)) * (count - len(given))  # what is left out repeats the last one
