"""Regress, apart from any transport: examples in; for each, one number."""

from __future__ import annotations

from typing import List, Mapping

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import input_pb2

from serving.embedded import examples
from serving.embedded.errors import invalid_argument
from serving.embedded.predict import DEFAULT_SIGNATURE
from serving.embedded.servable import Servable

METHOD = "tensorflow/serving/regress"
_OUTPUTS = "outputs"


def regress(servable: Servable, name: str, request: input_pb2.Input, timeout_ms: int = 0) -> List[float]:
    """One number for each example. Raises StatusError as the real server answers."""
    declared = examples.signature(servable, name)
    wanted = outputs(declared, servable.checks_method_names)
    array = examples.serialized(request)
    examples.check_type(declared)
    found = servable.run(name or DEFAULT_SIGNATURE, {examples.INPUTS: array}, wanted, timeout_ms, "Regress")
    return result(len(array), found)


def outputs(declared: meta_graph_pb2.SignatureDef, checks_method_name: bool) -> List[str]:
    """The output to fetch, by alias. Raises StatusError for a signature that cannot regress."""
    if checks_method_name and declared.method_name != METHOD:
        raise invalid_argument(f"Expected regression signature method_name to be {METHOD}. Was: {declared.method_name}")
    examples.check_one_input(declared)
    if len(declared.outputs) != 1:
        raise invalid_argument("Expected one output Tensor.")
    examples.check_input_name(declared, "regression")
    if _OUTPUTS not in declared.outputs:
        raise invalid_argument(f"No regression outputs found in SignatureDef: {examples.quoted(declared)}")
    return [_OUTPUTS]


def result(count: int, found: Mapping[str, np.ndarray]) -> List[float]:
    """The numbers of `count` examples from the output [count] or [count, 1]. Raises StatusError for anything else."""
    array = found[_OUTPUTS]
    if array.ndim != 1 and not (array.ndim == 2 and array.shape[1] == 1):
        raise invalid_argument("Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
                               f"{examples.shape(array)}")
    if len(array) != count:
        raise invalid_argument(f"Input batch size did not match output batch size: {count} vs. {len(array)}")
    if array.dtype != np.float32:
        raise invalid_argument(f"Expected output Tensor of DT_FLOAT.  Got: {examples.type_name(array)}")
    numbers: List[float] = array.reshape(-1).tolist()
    return numbers
