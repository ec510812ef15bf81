"""Damages a serialized SavedModel, in its bytes or in its messages, as broken disks and ill-willed strangers do."""

from __future__ import annotations

from random import Random
from typing import Any, Callable, List

from signatures import protos


def mutate(content: bytes, seed: int) -> bytes:
    """The same seed damages the same content in the same way."""
    random = Random(seed)
    kind = random.choice([_flip, _cut, _drop, _repeat, _restructure, _restructure, _restructure])
    return kind(content, random)


def _flip(content: bytes, random: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(random.choice([1, 1, 2, 5, 100])):
        changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def _cut(content: bytes, random: Random) -> bytes:
    return content[: random.randrange(len(content))]


def _drop(content: bytes, random: Random) -> bytes:
    start = random.randrange(len(content))
    return content[:start] + content[start + random.choice([1, 2, 10, 1000]) :]


def _repeat(content: bytes, random: Random) -> bytes:
    start = random.randrange(len(content))
    return content[:start] + content[start : start + random.choice([1, 10, 1000])] + content[start:]


def _restructure(content: bytes, random: Random) -> bytes:
    """A file that parses, and whose parts do not fit."""
    saved = protos.message("tensorflow.SavedModel").FromString(content)
    for _ in range(random.choice([1, 1, 3, 10])):
        meta = random.choice(saved.meta_graphs) if len(saved.meta_graphs) else None
        if meta is not None:
            random.choice(_CHANGES)(meta, random)
    return bytes(saved.SerializeToString(deterministic=True))


def _bodies(meta: Any) -> List[Any]:
    return [meta.graph_def.node, *(each.node_def for each in meta.graph_def.library.function)]


def _a_node(meta: Any, random: Random) -> Any:
    body = random.choice(_bodies(meta))
    return random.choice(body) if len(body) else meta.graph_def.node.add(name="new")


def _drop_node(meta: Any, random: Random) -> None:
    body = random.choice(_bodies(meta))
    if len(body):
        del body[random.randrange(len(body))]


def _drop_function(meta: Any, random: Random) -> None:
    functions = meta.graph_def.library.function
    if len(functions):
        del functions[random.randrange(len(functions))]


def _swap_inputs(meta: Any, random: Random) -> None:
    first, second = (list(_a_node(meta, random).input) for _ in range(2))
    node = _a_node(meta, random)
    del node.input[:]
    node.input.extend(random.sample(first + second, random.randint(0, len(first + second))))


def _change_input(meta: Any, random: Random) -> None:
    node = _a_node(meta, random)
    if len(node.input):
        strange = ["", ":", "^", "::", "a:b:c:d", "^^x", "x:-1", "x:9999999999999", node.name, f"{node.name}:z:7"]
        node.input[random.randrange(len(node.input))] = random.choice(strange)


def _change_op(meta: Any, random: Random) -> None:
    names = ["If", "While", "StatelessCase", "PartitionedCall", "IdentityN", "Identity", "Switch", "Merge", "Shape"]
    names += ["ParseExampleV2", "ParseExample", "PrintV2", "MakeIterator", "AssignVariableOp", "Print", "Const", ""]
    names += [_a_node(meta, random).op for _ in range(5)]
    _a_node(meta, random).op = random.choice(names)


def _drop_attribute(meta: Any, random: Random) -> None:
    node = _a_node(meta, random)
    if len(node.attr):
        del node.attr[random.choice(sorted(node.attr))]


def _mix_attributes(meta: Any, random: Random) -> None:
    """A value under another name: a shape where a function is expected, a list where a number is."""
    first, second = _a_node(meta, random), _a_node(meta, random)
    if len(first.attr) and len(second.attr):
        value = first.attr[random.choice(sorted(first.attr))]
        second.attr[random.choice(sorted(second.attr))].CopyFrom(value)


def _call_another(meta: Any, random: Random) -> None:
    functions = meta.graph_def.library.function
    nodes = [node for body in _bodies(meta) for node in body]
    callers = [(node, name) for node in nodes for name in node.attr if node.attr[name].func.name]
    if len(functions) and callers:
        node, name = random.choice(callers)
        node.attr[name].func.name = random.choice(functions).signature.name


def _change_function(meta: Any, random: Random) -> None:
    functions = meta.graph_def.library.function
    if len(functions):
        function = random.choice(functions)
        field = random.choice(["ret", "control_ret", "input_arg", "output_arg", "name"])
        (function if field in ("ret", "control_ret") else function.signature).ClearField(field)


def _change_signature(meta: Any, random: Random) -> None:
    names = sorted(meta.signature_def)
    if names:
        signature = meta.signature_def[random.choice(names)]
        infos = random.choice([signature.inputs, signature.outputs])
        if len(infos):
            info = infos[random.choice(sorted(infos))]
            info.Clear()
            info.name, info.dtype = random.choice([("", 1), ("^:", 1), ("x:0", 99), ("x", 0)])


_CHANGES: List[Callable[[Any, Random], None]] = [
    _drop_node,
    _drop_function,
    _swap_inputs,
    _change_input,
    _change_op,
    _drop_attribute,
    _mix_attributes,
    _call_another,
    _change_function,
    _change_signature,
]
