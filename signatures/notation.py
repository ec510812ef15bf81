"""How the pieces of an example are written: tensors, nodes, functions. See signatures.examples for the whole."""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, NamedTuple, Tuple, Union

from signatures.saved_model import FunctionReference, Node, Shape, TensorInfo, tensor_name

_FUNCTION = re.compile(r"function (?P<name>\S+)\((?P<arguments>.*?)\)\s*->\s*(?P<returns>[^^]*)(?P<control>.*)")
_TENSOR = re.compile(r"(?P<name>\S+) (?P<dtype>\w+)(\[(?P<shape>[^\]]*)\])?( = (?P<tensor>\S+))?")
_NODE_FIELDS: Dict[str, Callable[[str], Any]] = {"device": str, "content_bytes": int}
"""What is written like an attribute and is none."""


class FunctionHead(NamedTuple):
    """The first line of a function."""

    name: str
    arguments: Tuple[str, ...]
    returns: Tuple[str, ...]
    control_returns: Tuple[str, ...]


def function(line: str) -> FunctionHead:
    """`function NAME(ARGUMENT, …) -> TENSOR, … ^NODE`. Raises ValueError on anything else."""
    found = _FUNCTION.fullmatch(line.strip())
    if found is None:
        raise ValueError(f"{line!r} is no function; write: function NAME(ARGUMENT, …) -> TENSOR, … ^NODE")
    control = tuple(found["control"].replace("^", " ").split())
    return FunctionHead(found["name"], _list(found["arguments"]), _list(found["returns"]), control)


def node(line: str) -> Node:
    """`NAME = OP INPUT … ATTRIBUTE=VALUE …`. Raises ValueError on anything else."""
    name, equals, rest = line.strip().partition(" = ")
    if not equals:
        raise ValueError(f"{line!r} is no line of an example; see the head of signatures/examples.py")
    op, *words = rest.split()
    told = [word.partition("=") for word in words if "=" in word]
    fields = {key: _NODE_FIELDS[key](value) for key, _, value in told if key in _NODE_FIELDS}
    attributes = dict(_attribute(key, value) for key, _, value in told if key not in _NODE_FIELDS)
    values = [each for value in attributes.values() for each in (value if isinstance(value, tuple) else (value,))]
    functions = tuple(str(each) for each in values if isinstance(each, FunctionReference))
    inputs = tuple(word for word in words if "=" not in word)
    return Node(name.strip(), op, inputs, attributes, functions, **fields)


def tensor(text: str) -> Tuple[str, TensorInfo]:
    """`NAME DTYPE[SHAPE] = TENSOR`. Raises ValueError on anything else."""
    found = _TENSOR.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no tensor; write: NAME DTYPE[SHAPE] = TENSOR")
    known = None if found["shape"] is None else _shape(found["shape"])
    return found["name"], TensorInfo((tensor_name(found["tensor"] or found["name"]),), found["dtype"], known)


def _attribute(name: str, value: str) -> Tuple[str, Any]:
    """An attribute with its value; `shapes` is short for `_output_shapes`."""
    if value.startswith("@"):
        functions = tuple(FunctionReference(each.lstrip("@")) for each in value.split(","))
        return name, functions if len(functions) > 1 else functions[0]
    if value.startswith("["):
        shapes = tuple(_shape(each.strip("[]")) for each in value.split("|"))
        return ("_output_shapes", shapes) if name == "shapes" else (name, shapes[0])
    if name == "value":
        return name, tuple(_cell(each) for each in value.split(",") if each)
    if value.startswith("'"):
        return name, value.strip("'").encode()
    if value in ("true", "false"):
        return name, value == "true"
    return name, int(value) if value.lstrip("-").isdigit() else value


def _cell(text: str) -> Union[int, bytes]:
    return text.strip("'").encode() if text.startswith("'") else int(text)


def _shape(text: str) -> Shape:
    sizes: List[Any] = [None if each == "?" else int(each) for each in _list(text)]
    return tuple(sizes)


def _list(text: str) -> Tuple[str, ...]:
    return tuple(filter(None, (each.strip() for each in text.split(","))))
