"""The texts of single JSON values as the real server's RapidJSON writes them, in answers and in error messages."""

from __future__ import annotations

import math
from typing import Any, Dict, List

import numpy as np

INDENT = "    "
_ESCAPES: Dict[int, str] = {
    **{code: f"\\u{code:04X}" for code in range(0x20)},
    **{ord(raw): "\\" + letter for raw, letter in zip('"\\\b\f\n\r\t', '"\\bfnrt')},
}
_FLOAT_MAX = 3.4028234e38


def quoted(value: Any, level: int = 0) -> str:
    """A value of a request as the error texts quote it."""
    if isinstance(value, (list, dict)):
        return _container(value, level)
    if isinstance(value, str):
        return string(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return str(value)
    value = float(value)
    if level == 0:
        return decimals(np.array([value], np.float32 if abs(value) <= _FLOAT_MAX else np.float64))[0]
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
    inner, outer = "\n" + INDENT * (level + 1), "\n" + INDENT * level
    if isinstance(value, dict):
        members = [f"{inner}{string(name)}: {quoted(member, level + 1)}" for name, member in value.items()]
        return "{" + ",".join(members) + outer + "}" if members else "{}"
    elements = [inner + quoted(element, level + 1) for element in value]
    return "[" + ",".join(elements) + outer + "]" if elements else "[]"


def decimals(flat: np.ndarray) -> List[str]:
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


def string(text: str) -> str:
    """A string with its quotes."""
    return '"' + text.translate(_ESCAPES) + '"'


def encode(text: str) -> bytes:
    """The bytes of a document; surrogate escapes become again the bytes that they stand for."""
    return text.encode("utf-8", "surrogateescape")
