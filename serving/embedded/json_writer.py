"""The bodies of answers as the real server writes them, down to indentation; bytes that are no UTF-8 pass through."""

from __future__ import annotations

import base64
from typing import Any, Callable, List, Mapping, Sequence, Tuple

import numpy as np

from serving.embedded import dtypes
from serving.embedded.errors import invalid_argument
from serving.embedded.json_text import INDENT, decimals, encode, string

_WRITABLE_INTEGERS = ("int64", "int32", "int16", "int8", "uint8", "uint32", "uint64")
_BYTES_SUFFIX = "_bytes"


def error(message: str) -> bytes:
    """The body of a refused request."""
    return encode(f"{{\n{INDENT}\"error\": {string(message)}\n}}")


def rows(outputs: Mapping[str, np.ndarray]) -> bytes:
    """`{"predictions": […]}`; one output comes without its name. Raises StatusError when the outputs form no rows."""
    _check_rows(outputs)
    depth = 2 if len(outputs) == 1 else 3
    texts = [_row_texts(_cells(name, outputs[name]), outputs[name].shape, depth) for name in sorted(outputs)]
    if len(outputs) == 1:
        joined = ", ".join(texts[0])
    else:
        names = [f"\n{INDENT * 3}{string(name)}: " for name in sorted(outputs)]
        objects = (",".join(map(str.__add__, names, row)) for row in zip(*texts))
        joined = ",".join(f"\n{INDENT * 2}{{{members}\n{INDENT * 2}}}" for members in objects)
    return encode(f"{{\n{INDENT}\"predictions\": [{joined}\n{INDENT}]\n}}")


def columns(outputs: Mapping[str, np.ndarray]) -> bytes:
    """`{"outputs": …}`; one output comes without its name. Raises StatusError for types that JSON cannot carry."""
    depth = 1 if len(outputs) == 1 else 2
    texts = {
        name: _nested(_cells(name, outputs[name]), outputs[name].shape, _multi_line, depth) for name in sorted(outputs)
    }
    if len(texts) == 1:
        (value,) = texts.values()
    else:
        members = [f"{INDENT * 2}{string(name)}: {text}" for name, text in texts.items()]
        value = "{\n" + ",\n".join(members) + f"\n{INDENT}}}"
    return encode(f"{{\n{INDENT}\"outputs\": {value}\n}}")


def classifications(classes: Sequence[Sequence[Tuple[bytes, float]]]) -> bytes:
    """`{"results": [[["label", score], …], …]}`: one list for each example."""
    texts = []
    for example in classes:
        scores = decimals(np.array([score for _, score in example], np.float32))
        labels = [string(label.decode("utf-8", "surrogateescape")) for label, _ in example]
        texts.append("[" + ", ".join(f"[{label}, {score}]" for label, score in zip(labels, scores)) + "]")
    return encode(f"{{\n{INDENT}\"results\": [{', '.join(texts)}\n{INDENT}]\n}}")


def regressions(numbers: Sequence[float]) -> bytes:
    """`{"results": [1.5, …]}`: one number for each example."""
    joined = ", ".join(decimals(np.array(numbers, np.float32)))
    return encode(f"{{\n{INDENT}\"results\": [{joined}]\n}}")


def _check_rows(outputs: Mapping[str, np.ndarray]) -> None:
    """Each output needs a first dimension, the same for all and not 0."""
    count = 0
    for name in sorted(outputs):
        shape = outputs[name].shape
        if not shape:
            raise invalid_argument(f"Tensor name: {name} has no shape information ")
        if shape[0] < 1:
            raise invalid_argument(f"Tensor name: {name} has invalid batch size: {shape[0]}")
        if count not in (0, shape[0]):
            raise invalid_argument(f"Tensor name: {name} has inconsistent batch size: {shape[0]} expecting: {count}")
        count = shape[0]


def _cells(name: str, array: np.ndarray) -> List[Any]:
    """Every value of an output as text, in order; for bytes, a function of the nesting level instead of a text."""
    flat = array.reshape(-1)
    if array.dtype == object:
        if name.endswith(_BYTES_SUFFIX):
            return [_Bytes(base64.b64encode(value).decode("ascii")) for value in flat]
        return [string(value.decode("utf-8", "surrogateescape")) for value in flat]
    if array.dtype in (np.float32, np.float64):
        return decimals(flat)
    if array.dtype == np.bool_:
        return ["true" if value else "false" for value in flat.tolist()]
    if str(array.dtype) in _WRITABLE_INTEGERS or not flat.size:
        return [str(value) for value in flat.tolist()]
    kind = dtypes.name(dtypes.from_numpy(array))
    raise invalid_argument(f"Failed to write JSON value for tensor type: {kind}")


class _Bytes(str):
    """Base64 text, written as an object whose layout depends on where it stands."""


_Layout = Callable[[Any, int], str]
"""Writes a list of texts, or one bytes value, inside a container that is `depth` levels deep."""


def _row_texts(cells: List[Any], shape: Sequence[int], depth: int) -> List[str]:
    """One text for each row of a tensor."""
    size = len(cells) // shape[0]
    return [_nested(cells[i * size:(i + 1) * size], shape[1:], _single_line, depth) for i in range(shape[0])]


def _nested(cells: Sequence[Any], shape: Sequence[int], layout: _Layout, depth: int) -> str:
    """The values of one tensor as nested lists."""
    if not shape:
        return layout(cells[0], depth) if isinstance(cells[0], _Bytes) else str(cells[0])
    if len(shape) == 1 and not isinstance(next(iter(cells), None), _Bytes):
        return layout(cells, depth)
    size = len(cells) // shape[0] if shape[0] else 0
    return layout(
        [_nested(cells[i * size:(i + 1) * size], shape[1:], layout, depth + 1) for i in range(shape[0])], depth
    )


def _multi_line(value: Any, depth: int) -> str:
    """Each element on a line of its own: the layout of columns."""
    inner, outer = "\n" + INDENT * (depth + 1), "\n" + INDENT * depth
    if isinstance(value, _Bytes):
        return f'{{{inner}"b64": "{value}"{outer}}}'
    return f"[{inner}{(',' + inner).join(value)}{outer}]" if value else "[]"


def _single_line(value: Any, depth: int) -> str:
    """Lists on one line, the layout of rows; the object of a bytes value still breaks its line."""
    return _multi_line(value, depth) if isinstance(value, _Bytes) else "[" + ", ".join(value) + "]"
