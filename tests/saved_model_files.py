"""Writes `saved_model.pb` files from the notation of signatures.examples, without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterable, Sequence

from signatures import protos
from signatures.examples import build
from signatures.graphs import DTYPES
from signatures.reader import FILE, INIT_SIGNATURE
from signatures.saved_model import FunctionReference, Node, Shape, TensorInfo

NUMBERS = {name: number for number, name in DTYPES.items()}


def write(folder: Path, example: str, tags: Sequence[str] = ("serve",)) -> Path:
    """Saves the model that an example describes; its assets that are present become empty files. Returns the folder."""
    return save(folder, message(example, tags))


def save(folder: Path, content: Any) -> Path:
    """Saves a SavedModel message."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(content.SerializeToString())
    return folder


def message(example: str, tags: Sequence[str] = ("serve",)) -> Any:
    """The SavedModel message of an example."""
    model = build(example).model
    saved = protos.message("tensorflow.SavedModel")(saved_model_schema_version=1)
    meta = saved.meta_graphs.add()
    meta.meta_info_def.tags.extend(tags)
    _add_nodes(meta.graph_def.node, model.graph.nodes.values())
    for graph in model.functions.values():
        function = meta.graph_def.library.function.add()
        function.signature.name = graph.name
        for name in graph.arguments:
            function.signature.input_arg.add(name=name, type=1)
        for name, tensor in zip(graph.return_names, graph.returns):
            function.signature.output_arg.add(name=name, type=1)
            function.ret[name] = tensor
        for name in graph.control_returns:
            function.control_ret[name] = name
        _add_nodes(function.node_def, graph.nodes.values())
    for signature in model.signatures.values():
        proto = meta.signature_def[signature.name]
        proto.method_name = signature.method
        for name, info in signature.inputs.items():
            _fill(proto.inputs[name], info)
        for name, info in signature.outputs.items():
            _fill(proto.outputs[name], info)
    for asset in model.assets:
        meta.asset_file_def.add(filename=asset.filename).tensor_info.name = asset.tensor
    for name in model.init:
        meta.signature_def[INIT_SIGNATURE].outputs[INIT_SIGNATURE].name = name
    return saved


def _add_nodes(target: Any, nodes: Iterable[Node]) -> None:
    for node in nodes:
        proto = target.add(name=node.name, op=node.op, input=node.inputs, device=node.device)
        for name, value in node.attributes.items():
            if name == "shape":
                _set_shape(proto.attr[name].shape, value)
            elif name == "_output_shapes":
                for shape in value:
                    _set_shape(proto.attr[name].list.shape.add(), shape)
            else:
                _set(proto.attr[name], value)


def _set(proto: Any, value: Any) -> None:
    if isinstance(value, FunctionReference):
        proto.func.name = value
    elif isinstance(value, tuple) and all(isinstance(each, (int, bytes)) for each in value):
        _set_tensor(proto.tensor, value)
    elif isinstance(value, tuple):
        for each in value:
            proto.list.func.add(name=each)
    elif isinstance(value, bool):
        proto.b = value
    elif isinstance(value, int):
        proto.i = value
    elif isinstance(value, bytes):
        proto.s = value
    else:
        proto.type = NUMBERS[value]


def _set_tensor(proto: Any, cells: Sequence[Any]) -> None:
    """A vector of int64 or of texts; one without cells is of text."""
    numbers = bool(cells) and isinstance(cells[0], int)
    proto.dtype = NUMBERS["int64" if numbers else "string"]
    proto.tensor_shape.dim.add(size=len(cells))
    (proto.int64_val if numbers else proto.string_val).extend(cells)


def _fill(proto: Any, info: TensorInfo) -> None:
    proto.name = info.tensors[0]
    proto.dtype = NUMBERS[info.dtype]
    _set_shape(proto.tensor_shape, info.shape)


def _set_shape(proto: Any, shape: Shape) -> None:
    proto.unknown_rank = shape is None
    for size in shape or ():
        proto.dim.add(size=-1 if size is None else size)
