"""Reads a SavedModel folder into plain data, without loading the model.

Loading would run the init op, which fails exactly on the models that most need a finding. Only `saved_model.pb` is
read, and of a large one not its constants: variables stay on disk. The file is a stranger's, so it is bounded, and what
cannot be used is one sentence.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any, FrozenSet, Iterator, Tuple

from google.protobuf.message import DecodeError

from signatures import graphs, protos, slimming
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
SPLIT = "saved_model.cpb"
"""A model in chunks, with graphs of over 2 GiB. The open-source TensorFlow reads it and refuses to write it."""
OTHER_FORMS = (SPLIT, "saved_model.pbtxt")
LARGEST = 2**31 - 1
"""Bytes; no protocol buffer is larger."""
LARGEST_GRAPH = 128 << 20
"""Bytes of nodes and signatures that are read: several hundred thousand nodes."""
SMALL_FILE, LARGE_FILE = 1 << 20, 32 << 20
LARGE_CONSTANT, SMALLER_CONSTANT = 1 << 16, 1 << 12
"""Bytes from which a constant is not read: in a file that is not small, and in a large one."""
INIT_SIGNATURE = "__saved_model_init_op"
NOT_SERVED = (INIT_SIGNATURE, "__saved_model_train_op")
INIT_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")


def read(path: Path) -> SavedModel:
    """The SavedModel in this folder, or the newest version in this folder of versions.

    Raises UsageError when there is none, or it cannot be read whole, or no server would load it.
    """
    folder = locate(path)
    saved = _parse(_inside(folder, folder / FILE))
    meta = _served(saved, folder)
    signatures = {name: _signature(name, proto) for name, proto in meta.signature_def.items() if name not in NOT_SERVED}
    return SavedModel(
        path=folder,
        tags=frozenset(meta.meta_info_def.tags),
        signatures=signatures,
        graph=Graph(name="", nodes=graphs.nodes(meta.graph_def.node, "the graph")),
        functions=graphs.functions(meta.graph_def.library),
        assets=tuple(_asset(folder, proto) for proto in meta.asset_file_def),
        init=_init(meta),
        serve_meta_graphs=sum("serve" in each.meta_info_def.tags for each in saved.meta_graphs),
        same_tags=sum(set(each.meta_info_def.tags) == set(meta.meta_info_def.tags) for each in saved.meta_graphs),
        file_bytes=(folder / FILE).stat().st_size,
        variable_bytes=_stored(folder / "variables"),
    )


def locate(path: Path) -> Path:
    """The folder that holds `saved_model.pb`: this one, or its subfolder with the highest integer name."""
    try:
        return _located(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); check its permissions") from error


def _located(path: Path) -> Path:
    if not path.is_dir():
        raise UsageError(f"{path} is no folder; give the folder of a SavedModel, or the one that holds its versions")
    if _holds_model(path):
        return path
    versions = sorted((int(each.name), each) for each in path.iterdir() if each.name.isdecimal() and each.is_dir())
    if not versions:
        raise UsageError(f"{path} holds neither {FILE} nor a version folder; give the folder of an exported model")
    newest = versions[-1][1]
    if not _holds_model(newest):
        raise UsageError(f"{newest}, the newest version, holds no {FILE}; export the model again")
    return newest


def _holds_model(folder: Path) -> bool:
    """Whether the folder holds a model that is read. Raises UsageError for the forms that are not."""
    here = (folder / FILE).exists() or (folder / FILE).is_symlink()
    for other in OTHER_FORMS:
        if (folder / other).exists() and not here:
            raise UsageError(f"{folder} holds {other}, which is not read; save the model as {FILE}")
    if here and (folder / SPLIT).exists():
        raise UsageError(f"{folder} holds {SPLIT} beside {FILE}, and servers differ in which they load; remove one")
    return here


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
    """The SavedModel message in a file, without its large constants."""
    if not file.is_file():
        raise UsageError(f"{file} is no regular file; export the model again")
    damaged = f"{file} is no SavedModel, is cut short, or is nested too deeply; export it again"
    try:
        size = file.stat().st_size
        if size > LARGEST:
            raise UsageError(f"{file} is larger than 2 GiB, which no protocol buffer is; export the model again")
        return protos.message("tensorflow.SavedModel").FromString(_content(file, size))
    except (DecodeError, slimming.Damaged) as error:
        raise UsageError(damaged) from error
    except slimming.TooLarge as error:
        raise UsageError(
            f"{file} holds more than {LARGEST_GRAPH >> 20} MiB of graph beside its constants, which is not read; "
            "export fewer signatures at once"
        ) from error
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error.strerror}); check its permissions") from error


def _content(file: Path, size: int) -> bytes:
    """The bytes to parse: a large file is looked at in place, and its large constants stay on disk."""
    if size <= SMALL_FILE:
        return file.read_bytes()
    with open(file, "rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    if hasattr(mmap, "MADV_RANDOM"):
        mapped.madvise(mmap.MADV_RANDOM)  # else the constants between are read ahead into memory
    return slimming.slim(mapped, LARGE_CONSTANT if size < LARGE_FILE else SMALLER_CONSTANT, LARGEST_GRAPH)


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
    """An asset; one with an absolute name, or one that climbs out or is no name at all, is not looked at."""
    name = proto.filename
    file = folder / "assets" / name
    outside = Path(name).is_absolute() or ".." in Path(name).parts or not name.isprintable()
    present = not outside and os.path.isfile(file)
    if present or (not outside and os.path.islink(file)):
        _inside(folder, file)
    return Asset(tensor=tensor_name(proto.tensor_info.name), filename=name, present=present)


def _stored(folder: Path) -> int:
    """Bytes of the files in a folder; 0 when there is none. Links are not followed."""
    if folder.is_symlink():
        return 0
    try:
        return sum(each.lstat().st_size for each in folder.iterdir() if each.is_file() and not each.is_symlink())
    except OSError:
        return 0


def _init(meta: Any) -> Tuple[str, ...]:
    """The nodes that run at load: TF2 names them in a signature, TF1 in a collection."""
    found: FrozenSet[str] = frozenset()
    if INIT_SIGNATURE in meta.signature_def:
        found |= {node_name(info.name) for info in meta.signature_def[INIT_SIGNATURE].outputs.values()}
    for name in INIT_COLLECTIONS:
        if name in meta.collection_def:
            found |= {node_name(value) for value in meta.collection_def[name].node_list.value}
    return tuple(sorted(found))
