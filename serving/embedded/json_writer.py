"""JSON as the real server writes it: its indentation, its number texts, bytes that are no UTF-8 passed through."""

from __future__ import annotations

import base64
import math
from typing import Any, Callable, Dict, List, Mapping, Sequence

import numpy as np

from serving.embedded import dtypes
from serving.embedded.errors import invalid_argument

_INDENT = "    "
_ESCAPES: Dict[int, str] = {
    **{code: f"\\u{code:04X}" for code in range(0x20)},
    **{ord(raw): "\\" + letter for raw, letter in zip('"\\\b\f\n\r\t', '"\\bfnrt')},
}
_WRITABLE_INTEGERS = ("int64", "int32", "int16", "int8", "uint8", "uint32", "uint64")
_BYTES_SUFFIX = "_bytes"
_FLOAT_MAX = 3.4028234e38


def error(message: str) -> bytes:
    """The body of a refused request."""
    return _encode(f"{{\n{_INDENT}\"error\": {_string(message)}\n}}")


def rows(outputs: Mapping[str, np.ndarray]) -> bytes:
    """`{"predictions": […]}`; one output comes without its name. Raises StatusError when the outputs form no rows."""
    _check_rows(outputs)
    depth = 2 if len(outputs) == 1 else 3
    texts = [_row_texts(_cells(name, outputs[name]), outputs[name].shape, depth) for name in sorted(outputs)]
    if len(outputs) == 1:
        joined = ", ".join(texts[0])
    else:
        names = [f"\n{_INDENT * 3}{_string(name)}: " for name in sorted(outputs)]
        objects = (",".join(map(str.__add__, names, row)) for row in zip(*texts))
        joined = ",".join(f"\n{_INDENT * 2}{{{members}\n{_INDENT * 2}}}" for members in objects)
    return _encode(f"{{\n{_INDENT}\"predictions\": [{joined}\n{_INDENT}]\n}}")


def columns(outputs: Mapping[str, np.ndarray]) -> bytes:
    """`{"outputs": …}`; one output comes without its name. Raises StatusError for types that JSON cannot carry."""
    depth = 1 if len(outputs) == 1 else 2
    texts = {
        name: _nested(_cells(name, outputs[name]), outputs[name].shape, _multi_line, depth) for name in sorted(outputs)
    }
    if len(texts) == 1:
        (value,) = texts.values()
    else:
        members = [f"{_INDENT * 2}{_string(name)}: {text}" for name, text in texts.items()]
        value = "{\n" + ",\n".join(members) + f"\n{_INDENT}}}"
    return _encode(f"{{\n{_INDENT}\"outputs\": {value}\n}}")


def quoted(value: Any, level: int = 0) -> str:
    """A value of a request as the error texts quote it."""
    if isinstance(value, (list, dict)):
        return _container(value, level)
    if isinstance(value, str):
        return _string(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return str(value)
    value = float(value)
    if level == 0:
        return _decimals(np.array([value], np.float32 if abs(value) <= _FLOAT_MAX else np.float64))[0]
    return shortest(value)


def shortest(value: float) -> str:
    """The shortest digits that read back as `value`, laid out as RapidJSON lays them out."""
    if not math.isfinite(value):
        return ""
    digits, exponent = f"{value!r}".lstrip("-"), 0
    if "e" in digits:
        digits, _, power = digits.partition("e")
        exponent = int(power)
    whole, _, fraction = digits.partition(".")
    point = len(whole) + exponent
    all_digits = whole + fraction
    stripped = all_digits.lstrip("0")
    point -= len(all_digits) - len(stripped)
    stripped = stripped.rstrip("0") or "0"
    sign = "-" if math.copysign(1, value) < 0 else ""
    if value == 0:
        return sign + "0.0"
    return sign + _layout(stripped, point)


def _layout(digits: str, point: int) -> str:
    """`digits` with the decimal point behind the first `point` of them."""
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits)) + ".0"
    if 0 < point <= 21:
        return digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    mantissa = digits if len(digits) == 1 else digits[0] + "." + digits[1:]
    return f"{mantissa}e{point - 1}"


def _container(value: Any, level: int) -> str:
    inner, outer = "\n" + _INDENT * (level + 1), "\n" + _INDENT * level
    if isinstance(value, dict):
        members = [f"{inner}{_string(name)}: {quoted(member, level + 1)}" for name, member in value.items()]
        return "{" + ",".join(members) + outer + "}" if members else "{}"
    elements = [inner + quoted(element, level + 1) for element in value]
    return "[" + ",".join(elements) + outer + "]" if elements else "[]"


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
        return [_string(value.decode("utf-8", "surrogateescape")) for value in flat]
    if array.dtype in (np.float32, np.float64):
        return _decimals(flat)
    if array.dtype == np.bool_:
        return ["true" if value else "false" for value in flat.tolist()]
    if str(array.dtype) in _WRITABLE_INTEGERS:
        return [str(value) for value in flat.tolist()]
    kind = dtypes.name(dtypes.from_numpy(array))
    raise invalid_argument(f"Failed to write JSON value for tensor type: {kind}")


class _Bytes(str):
    """Base64 text, written as an object whose layout depends on where it stands."""


def _decimals(flat: np.ndarray) -> List[str]:
    """Six digits where they read back as the same number, else the type's full precision; never an integer's look."""
    values = flat.tolist()
    short = [f"{value:g}" for value in values]
    back = np.array(short, np.float64).astype(flat.dtype) if values else flat
    full = ".9g" if flat.dtype == np.float32 else ".17g"
    with np.errstate(invalid="ignore"):
        same = (back == flat).tolist()
    return [_finished(text if equal else format(value, full), value) for text, equal, value in zip(short, same, values)]


def _finished(text: str, value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return text if "." in text or "e" in text else text + ".0"


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
    inner, outer = "\n" + _INDENT * (depth + 1), "\n" + _INDENT * depth
    if isinstance(value, _Bytes):
        return f'{{{inner}"b64": "{value}"{outer}}}'
    return f"[{inner}{(',' + inner).join(value)}{outer}]" if value else "[]"


def _single_line(value: Any, depth: int) -> str:
    """Lists on one line, the layout of rows; the object of a bytes value still breaks its line."""
    return _multi_line(value, depth) if isinstance(value, _Bytes) else "[" + ", ".join(value) + "]"


def _string(text: str) -> str:
    return '"' + text.translate(_ESCAPES) + '"'


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
