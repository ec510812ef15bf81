"""The tensors of a REST predict request: rows (`instances`) or columns (`inputs`), with the real server's errors."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2

from serving.embedded import json_text, json_values
from serving.embedded.errors import StatusError, invalid_argument

Infos = Mapping[str, meta_graph_pb2.TensorInfo]

ROWS, COLUMNS = "rows", "columns"


def read(document: Mapping[str, Any], infos: Infos) -> Tuple[str, Dict[str, np.ndarray]]:
    """ROWS or COLUMNS, and the arrays by alias. Raises StatusError."""
    if "instances" in document and "inputs" in document:
        problem = "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
        raise _format_error(document, problem)
    if "instances" in document:
        rows = document["instances"]
        if not isinstance(rows, list):
            raise _format_error(document, "Excepting 'instances' to be an list/array")
        if not rows:
            raise _format_error(document, "No values in 'instances' array")
        return ROWS, _from_rows(rows, infos)
    if "inputs" in document:
        return COLUMNS, _from_columns(document["inputs"], infos)
    raise invalid_argument("Missing 'inputs' or 'instances' key")


def _from_columns(value: Any, infos: Infos) -> Dict[str, np.ndarray]:
    if not _is_named(value):
        if len(infos) > 1:
            raise invalid_argument("inputs is a plain value/list, but expecting an object as multiple input tensors "
                                   "required as per tensorinfo_map")
        return {alias: json_values.tensor(value, info.dtype) for alias, info in infos.items()}
    for alias in infos:
        if alias not in value:
            raise invalid_argument(f"Missing named input: {alias} in 'inputs' object.")
    return {alias: json_values.tensor(value[alias], info.dtype) for alias, info in infos.items()}


def _from_rows(rows: List[Any], infos: Infos) -> Dict[str, np.ndarray]:
    if not isinstance(rows[0], dict) and len(infos) > 1:
        raise invalid_argument("instances is a plain list, but expecting list of objects as multiple input tensors "
                               "required as per tensorinfo_map")
    named = _is_named(rows[0])
    fast = _named_rows(rows, infos) if named else _unnamed_rows(rows, infos)
    return fast if fast is not None else _exact_rows(rows, infos, named)


def _named_rows(rows: List[Any], infos: Infos) -> Any:
    """The arrays, or None when anything at all is out of order."""
    if set(map(type, rows)) != {dict} or any(row.keys() != infos.keys() for row in rows):
        return None
    found = {alias: json_values.fast([row[alias] for row in rows], info.dtype) for alias, info in infos.items()}
    return None if any(array is None for array in found.values()) else found


def _unnamed_rows(rows: List[Any], infos: Infos) -> Any:
    if any(map(_is_named, rows)):
        return None
    (alias, info), = list(infos.items())[:1]
    array = json_values.fast(rows, info.dtype)
    return None if array is None else {alias: array}


def _exact_rows(rows: List[Any], infos: Infos, named: bool) -> Dict[str, np.ndarray]:
    cells: Dict[str, List[np.ndarray]] = {}
    for number, row in enumerate(rows):
        if named and not _is_named(row):
            raise invalid_argument(f"Expecting object but got list at item {number} of input list")
        if not named and _is_named(row):
            raise invalid_argument(f"Expecting value/list but got object at item {number} of input list")
        members = row if named else {next(iter(infos)): row}
        for alias, value in members.items():
            try:
                _add(cells, alias, value, infos)
            except StatusError as error:
                key = f" key: {alias}" if named else ""
                raise invalid_argument(f"Failed to process element: {number}{key} of 'instances' list. "
                                       f"Error: {error}") from error
        if named and members.keys() != infos.keys():
            raise invalid_argument(f"Failed to process element: {number} of 'instances' list. JSON object: "
                                   f"{json_text.quoted(row)} keys must be equal to: {','.join(sorted(infos))}")
    return {alias: np.stack(arrays) for alias, arrays in cells.items()}


def _add(cells: Dict[str, List[np.ndarray]], alias: str, value: Any, infos: Infos) -> None:
    if alias not in infos:
        raise invalid_argument(f"JSON object: does not have named input: {alias}")
    array = json_values.tensor(value, infos[alias].dtype)
    others = cells.setdefault(alias, [])
    if others and others[0].size != array.size:
        raise invalid_argument(f"Expecting tensor size: {others[0].size} but got: {array.size}")
    if others and others[0].shape != array.shape:
        raise invalid_argument(f"Expecting shape {_shape(others[0])} but got: {_shape(array)}")
    others.append(array)


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not json_values.is_base64(value)


def _shape(array: np.ndarray) -> str:
    return "[" + ",".join(map(str, array.shape)) + "]"


def _format_error(document: Mapping[str, Any], text: str) -> StatusError:
    return invalid_argument(f"JSON Value: {json_text.quoted(document)} {text}")
