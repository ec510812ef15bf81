"""Rows as the inputs of a signature, in tensors and in JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Mapping

import numpy as np
import tensorflow as tf

from pipeline.rows import Rows
from signatures.manifest import TensorInfo

Arrays = Dict[str, np.ndarray]


def tensors(inputs: Mapping[str, TensorInfo], rows: Mapping[str, np.ndarray]) -> Dict[str, tf.Tensor]:
    """The rows' cells for each input, in its dtype. KeyError for an input the rows do not have."""
    return {name: tf.constant(_plain(rows[name], info), tf.as_dtype(info.dtype)) for name, info in inputs.items()}


def call(function: Any, inputs: Mapping[str, TensorInfo], rows: Mapping[str, np.ndarray]) -> Arrays:
    """Answers of a concrete or loaded signature function, as numpy arrays; text as object arrays of str."""
    return {name: _text(answer.numpy()) for name, answer in function(**tensors(inputs, rows)).items()}


def pad(rows: Rows, inputs: Mapping[str, TensorInfo], cells: int) -> Rows:
    """The same rows with `cells` more cells behind every list that has a length, filled with its first cell.

    That is what the server's own padding does, and what a mask made from `id == 0` cannot see.
    """
    padded = dict(rows)
    for name, info in inputs.items():
        if info.length is None:
            continue
        array = rows[name]
        first = array[..., :1] if array.shape[-1] else np.full((*array.shape[:-1], 1), _filler(array), array.dtype)
        padded[name] = np.concatenate([array, np.repeat(first, cells, axis=-1)], axis=-1)
    return padded


def save_json(path: Path, signature: str, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> None:
    """A golden request with its answer, in REST's column form."""
    content = {"signature": signature, "inputs": _lists(inputs), "outputs": _lists(outputs)}
    path.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


def load_json(path: Path, inputs: Mapping[str, TensorInfo]) -> Dict[str, Arrays]:
    """`inputs` and `outputs` of a golden file, as arrays of the signature's dtypes."""
    content = json.loads(path.read_text(encoding="utf-8"))
    given = {
        name: np.array(content["inputs"][name], object if info.dtype == "string" else info.dtype)
        for name, info in inputs.items()
    }
    return {"inputs": given, "outputs": {name: np.array(cells) for name, cells in content["outputs"].items()}}


def _lists(arrays: Mapping[str, np.ndarray]) -> Dict[str, Any]:
    return {name: array.tolist() for name, array in arrays.items()}


def _plain(array: np.ndarray, info: TensorInfo) -> Any:
    # tf.constant reads an object array of no cells as float64, which it then refuses to call text.
    return array.astype(str) if info.dtype == "string" and array.size == 0 else array


def _text(array: np.ndarray) -> np.ndarray:
    if array.dtype != object:
        return array
    flat = [cell.decode("utf-8") if isinstance(cell, bytes) else cell for cell in array.ravel()]
    return np.array(flat, object).reshape(array.shape)


def _filler(array: np.ndarray) -> Any:
    return "garbage" if array.dtype == object else 1
