"""Small models written as text: the examples of the rules, which are their tests and their documentation.

    signature rank                                    whose inputs and outputs follow (default serving_default)
    method tensorflow/serving/classify                the signature's method (default predict)
    defaults k                                        its inputs that a gRPC client may leave out
    input price float32[?]                            an input; its Placeholder has its name, or `= TENSOR`
    output score float32[?] = mul                     an output; its tensor has its name, or `= TENSOR`
    mul = Mul price call:1 ^init  flag=true           a node: op, inputs, attributes (name=value)
    call = PartitionedCall price f=@double            @name is a function; @a,@b a list of them
    mean = Mean price axes  shapes=[?]|[3]            the static shapes of a node's outputs
    axes = Const value=0,1  content_bytes=16          cells of a constant, numbers or 'texts'; its size
    gpu = Neg price device=/device:GPU:0              where it must run
    function double(x) -> y:z:0, x ^print             its returns; nodes after ^ run at every call
      y = AddV2 x x                                   indented: a node of the function
    asset path_tensor vocabulary.txt missing          an asset; present unless it says missing
    init load_tables                                  a node that runs at load
    features price user_id                            the declaration; without this line, none
    training_only mask
    tags serve gpu                                    the meta graph's tags (default serve)
    serve_meta_graphs 2                               in the file, tagged serve;  same_tags 2: with the very same tags
    file_bytes 20000000                               size of saved_model.pb;  variable_bytes 100: of variables/
    manifest input price float32[?]                   what the manifest says of the signature at hand; also output
    manifest length history history_length            which input of the manifest says the length of another
    manifest role k request                           the role of an input (default feature)
    manifest alone                                    its rows are not independent
    manifest training_only mask                       what the manifest says belongs to training
    extra_ops Scann>ScannSearchBatched                what the manifest says about ops and the server's image
    server_image tensorflow/serving:2.16.1            (default: one that is not the stock server's)

A shape is `[]`, `[?,3]`, or nothing for an unknown rank. Values: true, false, integers, 'text', and else a dtype.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Dict, FrozenSet, List, Optional, Tuple

from signatures import notation
from signatures.declaration import Declaration
from signatures.export import Export
from signatures.manifest import Data, Manifest
from signatures.manifest import Signature as Declared
from signatures.manifest import TensorInfo as DeclaredTensor
from signatures.saved_model import Asset, Graph, Node, SavedModel, Signature, TensorInfo, node_name, tensor_name

PREDICT = "tensorflow/serving/predict"
_WORDS = ("init", "features", "training_only", "extra_ops", "server_image", "tags")
_NUMBERS = ("serve_meta_graphs", "same_tags", "file_bytes", "variable_bytes")


class _Draft:
    """What the lines read so far say."""

    def __init__(self) -> None:
        self.nodes: Dict[str, Node] = {}
        self.functions: Dict[str, Graph] = {}
        self.body = self.nodes
        self.signature = "serving_default"
        self.inputs: Dict[str, Dict[str, TensorInfo]] = {}
        self.outputs: Dict[str, Dict[str, TensorInfo]] = {}
        self.methods: Dict[str, str] = {}
        self.defaults: Dict[str, FrozenSet[str]] = {}
        self.alone: List[str] = []
        self.assets: List[Asset] = []
        self.words: Dict[str, List[str]] = {}
        self.numbers: Dict[str, int] = {}
        self.declared: Dict[str, Dict[str, Dict[str, DeclaredTensor]]] = {}


def build(text: str) -> Export:
    """The export that an example describes. Raises ValueError on a line that is not in the notation above."""
    draft = _Draft()
    for line in filter(str.strip, textwrap.dedent(text).splitlines()):
        _read(draft, line)
    features = draft.words.get("features")
    declaration = Declaration(
        None if features is None else frozenset(features), frozenset(draft.words.get("training_only", ()))
    )
    return Export(_model(draft), declaration, _manifest(draft))


def _model(draft: _Draft) -> SavedModel:
    return SavedModel(
        path=Path("example"),
        tags=frozenset(draft.words.get("tags", ("serve",))),
        signatures={
            name: Signature(
                name,
                draft.methods.get(name, PREDICT),
                draft.inputs.get(name, {}),
                draft.outputs.get(name, {}),
                draft.defaults.get(name, frozenset()),
            )
            for name in {**draft.inputs, **draft.outputs}
        },
        graph=Graph("", draft.nodes),
        functions=draft.functions,
        assets=tuple(draft.assets),
        init=tuple(draft.words.get("init", ())),
        **draft.numbers,
    )


def _read(draft: _Draft, line: str) -> None:
    """Takes one line into the draft."""
    word, _, rest = line.strip().partition(" ")
    if line.startswith(" "):
        _add_node(draft.body, line)
    elif word == "signature":
        draft.signature = rest
    elif word == "method":
        draft.methods[draft.signature] = rest
    elif word == "defaults":
        draft.defaults[draft.signature] = frozenset(rest.split())
    elif word == "input":
        name, info = notation.tensor(rest)
        draft.inputs.setdefault(draft.signature, {})[name] = info
        placeholder = node_name(info.tensors[0])
        draft.nodes.setdefault(placeholder, Node(placeholder, "Placeholder"))
    elif word == "output":
        name, info = notation.tensor(rest)
        draft.outputs.setdefault(draft.signature, {})[name] = info
    elif word == "manifest":
        _declare(draft, rest)
    elif word == "function":
        draft.body = _add_function(draft, line)
    elif word == "asset":
        tensor, filename, *missing = rest.split()
        draft.assets.append(Asset(tensor_name(tensor), filename, not missing))
    elif word in _WORDS:
        draft.words[word] = rest.split()
    elif word in _NUMBERS:
        draft.numbers[word] = int(rest)
    else:
        _add_node(draft.nodes, line)


def _add_node(nodes: Dict[str, Node], line: str) -> None:
    node = notation.node(line)
    nodes[node.name] = node


def _add_function(draft: _Draft, line: str) -> Dict[str, Node]:
    """Opens a function; the indented lines that follow fill its body."""
    head = notation.function(line)
    body: Dict[str, Node] = {}
    draft.functions[head.name] = Graph(
        name=head.name,
        nodes=body,
        arguments=head.arguments,
        returns=head.returns,
        return_names=tuple(f"return_{place}" for place in range(len(head.returns))),
        control_returns=head.control_returns,
    )
    return body


def _declare(draft: _Draft, text: str) -> None:
    """A line of the manifest."""
    kind, _, rest = text.partition(" ")
    tensors = draft.declared.setdefault(draft.signature, {"input": {}, "output": {}})
    if kind in ("length", "role"):
        name, value = rest.split()
        tensors["input"][name] = tensors["input"][name].model_copy(update={kind: value})
        return
    if kind == "training_only":
        draft.words["manifest_training_only"] = rest.split()
        return
    if kind == "alone":
        draft.alone.append(draft.signature)
        return
    name, info = notation.tensor(rest)
    role = "output" if kind == "output" else "feature"
    told = {"dtype": info.dtype, "shape": info.shape or (), "role": role}
    tensors[kind][name] = DeclaredTensor.model_validate(told)


def _manifest(draft: _Draft) -> Optional[Manifest]:
    """The smallest manifest that says what the example does; None when it says nothing."""
    extra_ops: Tuple[str, ...] = tuple(draft.words.get("extra_ops", ()))
    if not extra_ops and not draft.declared:
        return None
    return Manifest(
        model="example",
        version=1,
        created="",
        schema_hash="",
        features=(),
        training_only=tuple(draft.words.get("manifest_training_only", ())),
        signatures={
            name: Declared(
                inputs=each["input"], outputs=each["output"], kind="score", batchable=name not in draft.alone
            )
            for name, each in draft.declared.items()
        },
        extra_ops=extra_ops,
        server_image=draft.words.get("server_image", ["a-server-with-these-ops"])[0],
        metrics={},
        data=Data(name="example", fingerprint="", synthetic=True),
        code_commit="",
    )
