"""Reads a SavedModel folder into plain data, without loading the model.

Loading would run the init op, which fails exactly on the models that most need a finding. Only `saved_model.pb` is
read: variables stay on disk. The file is a stranger's, so it is bounded, and what cannot be used is one sentence.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Dict, FrozenSet, Iterator, List, Tuple

from google.protobuf.message import DecodeError

from signatures import protos
from signatures.errors import UsageError
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

FILE = "saved_model.pb"
LARGEST = 2**31 - 1
"""Bytes; no protocol buffer is larger."""
INIT_SIGNATURE = "__saved_model_init_op"
NOT_SERVED = (INIT_SIGNATURE, "__saved_model_train_op")
INIT_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")

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


def read(path: Path) -> SavedModel:
    """The SavedModel in this folder, or the newest version in this folder of versions.

    Raises UsageError when there is none, or it cannot be read whole, or no server would load it.
    """
    folder = locate(path)
    meta = _served(_parse(_inside(folder, folder / FILE)), folder)
    signatures = {name: _signature(name, proto) for name, proto in meta.signature_def.items() if name not in NOT_SERVED}
    return SavedModel(
        path=folder,
        tags=frozenset(meta.meta_info_def.tags),
        signatures=signatures,
        graph=Graph(name="", nodes=_nodes(meta.graph_def.node, "the graph")),
        functions={proto.signature.name: _function(proto) for proto in meta.graph_def.library.function},
        assets=tuple(_asset(folder, proto) for proto in meta.asset_file_def),
        init=_init(meta),
    )


def locate(path: Path) -> Path:
    """The folder that holds `saved_model.pb`: this one, or its subfolder with the highest integer name."""
    if not path.is_dir():
        raise UsageError(f"{path} is no folder; give the folder of a SavedModel, or the one that holds its versions")
    if (path / FILE).exists() or (path / FILE).is_symlink():
        return path
    for other in ("saved_model.cpb", "saved_model.pbtxt"):
        if (path / other).exists():
            raise UsageError(f"{path} holds {other}, which is not read; save the model as {FILE}")
    versions = sorted((int(each.name), each) for each in path.iterdir() if each.name.isdigit() and each.is_dir())
    if not versions:
        raise UsageError(f"{path} holds neither {FILE} nor a version folder; give the folder of an exported model")
    newest = versions[-1][1]
    if not (newest / FILE).exists():
        raise UsageError(f"{newest}, the newest version, holds no {FILE}; export the model again")
    return newest


def _inside(folder: Path, file: Path) -> Path:
    """The file itself, unless a symbolic link leads out of the folder."""
    try:
        target, root = file.resolve(strict=True), folder.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise UsageError(f"{file} cannot be opened: a broken link or no permission; copy the file itself") from error
    if root not in target.parents:
        raise UsageError(f"{file} is a link out of {folder}; copy the file itself into the folder")
    return file


def _parse(file: Path) -> Any:
    """The SavedModel message in a file."""
    if not file.is_file():
        raise UsageError(f"{file} is no regular file; export the model again")
    try:
        if file.stat().st_size > LARGEST:
            raise UsageError(f"{file} is larger than 2 GiB, which no protocol buffer is; export the model again")
        return protos.message("tensorflow.SavedModel").FromString(file.read_bytes())
    except DecodeError as error:
        raise UsageError(f"{file} is no SavedModel, is cut short, or is nested too deeply; export it again") from error
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error.strerror}); check its permissions") from error


def _served(saved_model: Any, folder: Path) -> Any:
    """The meta graph that a server loads: tagged `serve` and nothing more, else the first one with the tag."""
    tagged = [meta for meta in saved_model.meta_graphs if "serve" in meta.meta_info_def.tags]
    if not tagged:
        raise UsageError(f"{folder / FILE} has no meta graph tagged 'serve', so no server loads it; export it again")
    return next((meta for meta in tagged if list(meta.meta_info_def.tags) == ["serve"]), tagged[0])


def _signature(name: str, proto: Any) -> Signature:
    return Signature(
        name=name,
        method=proto.method_name,
        inputs={key: _tensor_info(info) for key, info in sorted(proto.inputs.items())},
        outputs={key: _tensor_info(info) for key, info in sorted(proto.outputs.items())},
        defaults=frozenset(proto.defaults) if "defaults" in proto.DESCRIPTOR.fields_by_name else frozenset(),
    )


def _tensor_info(proto: Any) -> TensorInfo:
    names = tuple(tensor_name(name) for name in _tensors(proto))
    return TensorInfo(tensors=names, dtype=_dtype(proto.dtype), shape=_shape(proto.tensor_shape))


def _tensors(proto: Any) -> Iterator[str]:
    """The tensors behind a TensorInfo; protobuf bounds how deep composites nest."""
    kind = proto.WhichOneof("encoding")
    if kind == "name":
        yield proto.name
    elif kind == "coo_sparse":
        sparse = proto.coo_sparse
        yield from (sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name)
    elif kind == "composite_tensor":
        for component in proto.composite_tensor.components:
            yield from _tensors(component)


def _shape(proto: Any) -> Shape:
    return None if proto.unknown_rank else tuple(None if dim.size < 0 else int(dim.size) for dim in proto.dim)


def _dtype(number: int) -> str:
    return DTYPES.get(number % 100, f"type {number}")


def _nodes(found: Any, where: str) -> Dict[str, Node]:
    nodes = {node.name: Node(node.name, node.op, tuple(node.input), _Attributes(node.attr)) for node in found}
    if len(nodes) != len(found):
        raise UsageError(f"two nodes of {where} have the same name; the file is damaged, export the model again")
    return nodes


def _function(proto: Any) -> Graph:
    name = proto.signature.name
    outputs = tuple(each.name for each in proto.signature.output_arg)
    missing = [each for each in outputs if each not in proto.ret]
    if missing:
        raise UsageError(f"function {name!r} does not say what its output {missing[0]!r} is; export the model again")
    return Graph(
        name=name,
        nodes=_nodes(proto.node_def, f"function {name!r}"),
        arguments=tuple(each.name for each in proto.signature.input_arg),
        returns=tuple(proto.ret[each] for each in outputs),
        return_names=outputs,
        control_returns=tuple(sorted(set(proto.control_ret.values()))),
        attributes=_Attributes(proto.attr),
    )


def _asset(folder: Path, proto: Any) -> Asset:
    """An asset; one with an absolute name, or one that climbs out, is not looked at."""
    name = proto.filename
    file = folder / "assets" / name
    outside = Path(name).is_absolute() or ".." in Path(name).parts
    present = not outside and os.path.isfile(file)
    if present or (not outside and os.path.islink(file)):
        _inside(folder, file)
    return Asset(tensor=tensor_name(proto.tensor_info.name), filename=name, present=present)


def _init(meta: Any) -> Tuple[str, ...]:
    """The nodes that run at load: TF2 names them in a signature, TF1 in a collection."""
    found: FrozenSet[str] = frozenset()
    if INIT_SIGNATURE in meta.signature_def:
        found |= {node_name(info.name) for info in meta.signature_def[INIT_SIGNATURE].outputs.values()}
    for name in INIT_COLLECTIONS:
        if name in meta.collection_def:
            found |= {node_name(value) for value in meta.collection_def[name].node_list.value}
    return tuple(sorted(found))


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
        return _dtype(proto.type)
    if kind == "shape":
        return _shape(proto.shape)
    if kind == "list":
        return _values(proto.list)
    return getattr(proto, kind) if kind in ("s", "i", "f", "b", "placeholder") else b""


def _values(proto: Any) -> Tuple[Any, ...]:
    """A list attribute; only one of its fields is ever filled."""
    converted: List[Any] = [FunctionReference(each.name) for each in proto.func]
    converted += [_dtype(each) for each in proto.type]
    converted += [_shape(each) for each in proto.shape]
    return tuple(converted) + tuple(proto.s) + tuple(proto.i) + tuple(proto.f) + tuple(proto.b)
