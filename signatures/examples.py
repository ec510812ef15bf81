"""Small models written as text: the examples of the rules, which are their tests and their documentation.

    signature rank                                    whose inputs and outputs follow (default serving_default)
    input price float32[?]                            an input; its Placeholder has its name, or `= TENSOR`
    output score float32[?] = mul                     an output; its tensor has its name, or `= TENSOR`
    mul = Mul price call:1 ^init  flag=true           a node: op, inputs, attributes (name=value)
    call = PartitionedCall price f=@double            @name is a function; @a,@b a list of them
    function double(x) -> y:z:0, x ^print             its returns; nodes after ^ run at every call
      y = AddV2 x x                                   indented: a node of the function
    asset path_tensor vocabulary.txt missing          an asset; present unless it says missing
    init load_tables                                  a node that runs at load
    features price user_id                            the declaration; without this line, none
    training_only mask
    extra_ops Scann>ScannSearchBatched                what the manifest says about ops and the server's image

A shape is `[]`, `[?,3]`, or nothing for an unknown rank. Values: true, false, integers, 'text', and else a dtype.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from signatures.declaration import Declaration
from signatures.export import Export
from signatures.manifest import Data, Manifest
from signatures.saved_model import (
    Asset,
    FunctionReference,
    Graph,
    Node,
    SavedModel,
    Shape,
    Signature,
    TensorInfo,
    node_name,
    tensor_name,
)

_FUNCTION = re.compile(r"function (?P<name>\S+)\((?P<arguments>.*?)\)\s*->\s*(?P<returns>[^^]*)(?P<control>.*)")
_TENSOR = re.compile(r"(?P<name>\S+) (?P<dtype>\w+)(\[(?P<shape>[^\]]*)\])?( = (?P<tensor>\S+))?")


class _Draft:
    """What the lines read so far say."""

    def __init__(self) -> None:
        self.nodes: Dict[str, Node] = {}
        self.functions: Dict[str, Graph] = {}
        self.body = self.nodes
        self.signature = "serving_default"
        self.inputs: Dict[str, Dict[str, TensorInfo]] = {}
        self.outputs: Dict[str, Dict[str, TensorInfo]] = {}
        self.assets: List[Asset] = []
        self.words: Dict[str, List[str]] = {}


def build(text: str) -> Export:
    """The export that an example describes. Raises ValueError on a line that is not in the notation above."""
    draft = _Draft()
    for line in filter(str.strip, textwrap.dedent(text).splitlines()):
        _read(draft, line)
    features = draft.words.get("features")
    model = SavedModel(
        path=Path("example"),
        tags=frozenset({"serve"}),
        signatures={
            name: Signature(name, "tensorflow/serving/predict", draft.inputs.get(name, {}), draft.outputs.get(name, {}))
            for name in {**draft.inputs, **draft.outputs}
        },
        graph=Graph("", draft.nodes),
        functions=draft.functions,
        assets=tuple(draft.assets),
        init=tuple(draft.words.get("init", ())),
    )
    declaration = Declaration(
        None if features is None else frozenset(features), frozenset(draft.words.get("training_only", ()))
    )
    return Export(model, declaration, _manifest(draft.words.get("extra_ops")))


def _read(draft: _Draft, line: str) -> None:
    """Takes one line into the draft."""
    word, _, rest = line.strip().partition(" ")
    if line.startswith(" "):
        _add_node(draft.body, line.strip())
    elif word == "signature":
        draft.signature = rest
    elif word == "input":
        name, info = _tensor_info(rest)
        draft.inputs.setdefault(draft.signature, {})[name] = info
        placeholder = node_name(info.tensors[0])
        draft.nodes.setdefault(placeholder, Node(placeholder, "Placeholder"))
    elif word == "output":
        name, info = _tensor_info(rest)
        draft.outputs.setdefault(draft.signature, {})[name] = info
    elif word == "function":
        draft.body = _add_function(draft, line)
    elif word == "asset":
        tensor, filename, *missing = rest.split()
        draft.assets.append(Asset(tensor_name(tensor), filename, not missing))
    elif word in ("init", "features", "training_only", "extra_ops"):
        draft.words[word] = rest.split()
    else:
        _add_node(draft.nodes, line)


def _add_function(draft: _Draft, line: str) -> Dict[str, Node]:
    """Opens a function; the indented lines that follow fill its body."""
    found = _FUNCTION.fullmatch(line.strip())
    if found is None:
        raise ValueError(f"{line!r} is no function; write: function NAME(ARGUMENT, …) -> TENSOR, … ^NODE")
    body: Dict[str, Node] = {}
    returns = _list(found["returns"])
    draft.functions[found["name"]] = Graph(
        name=found["name"],
        nodes=body,
        arguments=_list(found["arguments"]),
        returns=returns,
        return_names=tuple(f"return_{place}" for place in range(len(returns))),
        control_returns=tuple(found["control"].replace("^", " ").split()),
    )
    return body


def _list(text: str) -> Tuple[str, ...]:
    return tuple(filter(None, (each.strip() for each in text.split(","))))


def _add_node(nodes: Dict[str, Node], line: str) -> None:
    name, equals, rest = line.partition(" = ")
    if not equals:
        raise ValueError(f"{line!r} is no line of an example; see the head of signatures/examples.py")
    op, *words = rest.split()
    attributes = dict(_attribute(word) for word in words if "=" in word)
    values = [each for value in attributes.values() for each in (value if isinstance(value, tuple) else (value,))]
    functions = tuple(str(each) for each in values if isinstance(each, FunctionReference))
    inputs = tuple(word for word in words if "=" not in word)
    nodes[name.strip()] = Node(name.strip(), op, inputs, attributes, functions)


def _attribute(word: str) -> Tuple[str, Any]:
    name, _, value = word.partition("=")
    if value.startswith("@"):
        functions = tuple(FunctionReference(each.lstrip("@")) for each in value.split(","))
        return name, functions if len(functions) > 1 else functions[0]
    if value.startswith("'"):
        return name, value.strip("'").encode()
    if value in ("true", "false"):
        return name, value == "true"
    return name, int(value) if value.lstrip("-").isdigit() else value


def _tensor_info(text: str) -> Tuple[str, TensorInfo]:
    found = _TENSOR.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no tensor; write: NAME DTYPE[SHAPE] = TENSOR")
    shape: Shape = None
    if found["shape"] is not None:
        shape = tuple(None if each == "?" else int(each) for each in _list(found["shape"]))
    return found["name"], TensorInfo((tensor_name(found["tensor"] or found["name"]),), found["dtype"], shape)


def _manifest(extra_ops: Optional[List[str]]) -> Optional[Manifest]:
    """The smallest manifest that declares ops beyond the stock server's."""
    if extra_ops is None:
        return None
    return Manifest(
        model="example",
        version=1,
        created="",
        schema_hash="",
        features=(),
        training_only=(),
        signatures={},
        extra_ops=tuple(extra_ops),
        server_image="a-server-with-these-ops",
        metrics={},
        data=Data(name="example", fingerprint="", synthetic=True),
        code_commit="",
    )
