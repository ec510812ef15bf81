"""From what a caller has, rows or columns with ragged lists, to the arrays that a signature takes.

Everything is checked here, before a byte is sent: names, types, shapes, lengths. Missing cells (None) become what the
exports read as missing: NaN, -1, or the empty string. Lists are padded, cut to the newest cells, and their length
inputs filled.
"""

from __future__ import annotations

import difflib
from typing import Any, Dict, List, Mapping, Sequence, Set, Union

import numpy as np

from serving.client.cells import to_array
from serving.client.contract import Contract, Tensor
from serving.client.errors import RequestError
from serving.client.ragged import pad

Inputs = Union[Mapping[str, Any], Sequence[Mapping[str, Any]]]
"""Columns: name -> values of all rows. Or rows: one mapping for each."""


def encode(contract: Contract, inputs: Inputs) -> Dict[str, np.ndarray]:
    """The arrays by name. Raises RequestError naming the input, what it should be and what it is."""
    lengths = contract.lengths()
    columns = inputs if isinstance(inputs, Mapping) else _columns(contract, inputs, set(lengths))
    _check_names(contract, columns, set(lengths))
    padded, counted = _pad(contract, columns)
    arrays: Dict[str, np.ndarray] = {}
    for name, tensor in contract.inputs.items():
        if name in padded:
            arrays[name] = to_array(f"input {name!r}", padded[name], tensor.dtype)
        elif name in columns:
            arrays[name] = to_array(f"input {name!r}", columns[name], tensor.dtype)
    for length in lengths:
        _add_length(contract, length, counted, arrays)
    for name, array in arrays.items():
        _check_shape(name, array, contract.inputs[name])
    _check_rows(contract, arrays)
    return arrays


def _columns(contract: Contract, rows: Sequence[Mapping[str, Any]], lengths: Set[str]) -> Dict[str, List[Any]]:
    """Rows as columns; each row must have the same names."""
    if isinstance(rows, (str, bytes)) or not all(isinstance(row, Mapping) for row in rows) or not rows:
        raise RequestError(f"inputs should be a mapping of columns or a list of rows that are mappings; "
                           f"received {type(rows).__name__}{'' if rows else ' of length 0'}")
    for number, row in enumerate(rows):
        _check_names(contract, row, lengths, f"row {number}: ")
        other = next((name for name in {**row, **rows[0]} if (name in row) != (name in rows[0])), None)
        if other is not None:
            raise RequestError(f"rows 0 and {number} differ: only one of them has {other!r}; give it in every row")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _check_names(contract: Contract, given: Mapping[str, Any], lengths: Set[str], where: str = "") -> None:
    model = f"signature {contract.signature!r} of model {contract.model!r}"
    for name in given:
        if name not in contract.inputs:
            close = difflib.get_close_matches(str(name), contract.inputs, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(sorted(contract.inputs))}"
            raise RequestError(f"{where}{model} has no input {name!r}; {hint}")
    required = {name for name, tensor in contract.inputs.items() if tensor.required}
    missing = sorted(required - set(given) - lengths)
    if missing:
        received = ", ".join(sorted(given)) or "nothing"
        raise RequestError(f"{where}{model} needs {', '.join(missing)}; received {received}")


def _pad(contract: Contract, columns: Mapping[str, Any]) -> tuple[Dict[str, Any], Dict[str, np.ndarray]]:
    """The padded lists by name, and their lengths; arrays whose length is given pass unchanged."""
    padded: Dict[str, Any] = {}
    counted: Dict[str, np.ndarray] = {}
    for name, tensor in contract.inputs.items():
        if tensor.length is None or name not in columns or tensor.length in columns:
            continue
        padded[name], lengths = pad(name, columns[name], tensor)
        other = next((n for n in counted if contract.inputs[n].length == tensor.length), None)
        if other is not None and not np.array_equal(counted[other], lengths):
            raise RequestError(f"inputs {other!r} and {name!r} share {tensor.length!r} and should have equally long "
                               f"lists; received lengths {counted[other].tolist()} and {lengths.tolist()}")
        counted[name] = lengths
    return padded, counted


def _add_length(
    contract: Contract, length: str, counted: Mapping[str, np.ndarray], arrays: Dict[str, np.ndarray]
) -> None:
    """Fills a length input that was not given; checks one that was."""
    for name, tensor in contract.inputs.items():
        if tensor.length != length or name not in arrays:
            continue
        if name in counted:
            arrays[length] = counted[name].astype(contract.inputs[length].dtype)
        elif length in arrays and arrays[name].ndim:
            longest = arrays[length].max(initial=0)
            if longest > arrays[name].shape[-1] or arrays[length].min(initial=0) < 0:
                raise RequestError(f"input {length!r} should lie between 0 and the {arrays[name].shape[-1]} cells of "
                                   f"{name!r}; received {arrays[length].tolist()}")
    if length not in arrays:
        raise RequestError(f"signature {contract.signature!r} of model {contract.model!r} needs {length!r}")


def _check_shape(name: str, array: np.ndarray, tensor: Tensor) -> None:
    if tensor.shape is None:
        return
    fits = array.ndim == len(tensor.shape) and all(
        wanted in (None, size) for wanted, size in zip(tensor.shape, array.shape)
    )
    if not fits:
        wanted = "[" + ", ".join("any" if size is None else str(size) for size in tensor.shape) + "]"
        raise RequestError(f"input {name!r} should have shape {wanted}; received {list(array.shape)}")


def _check_rows(contract: Contract, arrays: Mapping[str, np.ndarray]) -> None:
    """Inputs with a free first axis are rows of one batch."""
    first = None
    for name, array in arrays.items():
        shape = contract.inputs[name].shape
        if not shape or shape[0] is not None:
            continue
        if first is not None and arrays[first].shape[0] != array.shape[0]:
            raise RequestError(f"inputs {first!r} and {name!r} should have the same number of rows; "
                               f"received {arrays[first].shape[0]} and {array.shape[0]}")
        first = first or name
