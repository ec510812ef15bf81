"""Reads a SavedModel folder into plain data, without loading the model.

Loading would run the init op, which fails exactly on the models that most need a finding. Only `saved_model.pb` is
read: variables stay on disk. The file is a stranger's, so it is bounded, and what cannot be used is one sentence.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, FrozenSet, Iterator, Tuple

from google.protobuf.message import DecodeError

from signatures import graphs, protos
from signatures.errors import UsageError
from signatures.saved_model import (
    Asset,
    Graph,
    SavedModel,
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
        graph=Graph(name="", nodes=graphs.nodes(meta.graph_def.node, "the graph")),
        functions={proto.signature.name: graphs.function(proto) for proto in meta.graph_def.library.function},
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
    versions = sorted((int(each.name), each) for each in path.iterdir() if each.name.isdecimal() and each.is_dir())
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
    return TensorInfo(tensors=names, dtype=graphs.dtype(proto.dtype), shape=graphs.shape(proto.tensor_shape))


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
