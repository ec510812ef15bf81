"""Predict, apart from any transport: checks the request against the signature and runs it."""

from __future__ import annotations

from typing import Dict, Iterable, List, Mapping, Sequence, Union

import numpy as np
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from serving.embedded import dtypes, tensors
from serving.embedded.errors import StatusError, invalid_argument
from serving.embedded.servable import Servable

DEFAULT_SIGNATURE = "serving_default"
METHOD = "tensorflow/serving/predict"
_METHODS = (METHOD, "tensorflow/serving/classify", "tensorflow/serving/regress")

Value = Union[np.ndarray, tensor_pb2.TensorProto]


def predict(
    servable: Servable, signature: str, inputs: Mapping[str, Value], output_filter: Sequence[str], timeout_ms: int = 0
) -> Dict[str, np.ndarray]:
    """The outputs by alias, all of them when the filter is empty. Raises StatusError as the real server answers.

    Whatever is wrong is told in the real server's order: signature, names, tensors, filter, types, the graph itself.
    """
    declared = _signature(servable, signature)
    arrays = _arrays(declared, inputs)
    outputs = _outputs(declared, output_filter)
    _check_types(declared, arrays)
    return servable.run(signature or DEFAULT_SIGNATURE, arrays, outputs, timeout_ms)


def _signature(servable: Servable, name: str) -> meta_graph_pb2.SignatureDef:
    key = name or DEFAULT_SIGNATURE
    if key not in servable.signatures:
        raise StatusError("FAILED_PRECONDITION", f'Serving signature key "{key}" not found.')
    declared = servable.signatures[key]
    if servable.checks_method_names and declared.method_name not in _METHODS:
        raise StatusError("INTERNAL", "Expected prediction signature method_name to be one of {" + ", ".join(_METHODS)
                          + "}. Was: " + declared.method_name)
    return declared


def _arrays(declared: meta_graph_pb2.SignatureDef, inputs: Mapping[str, Value]) -> Dict[str, np.ndarray]:
    """The given inputs as arrays; those left to their defaults stay away."""
    sent, wanted, defaults = set(inputs), set(declared.inputs), set(declared.defaults)
    if len(sent) > len(wanted) or (len(sent) < len(wanted) and not defaults):
        raise invalid_argument(
            f"input size does not match signature: {len(sent)}!={len(wanted)} len({_braced(sent)}) != "
            f"len({_braced(wanted)}). Sent extra: {_braced(sent - wanted)}. "
            f"Missing but required: {_braced(wanted - sent)}."
        )
    arrays: Dict[str, np.ndarray] = {}
    for alias in sorted(wanted):
        if alias in sent:
            arrays[alias] = _array(alias, inputs[alias])
        elif alias not in defaults:
            raise invalid_argument(
                f"Signature input alias: {alias}(feed name: {declared.inputs[alias].name}) not found in request and no "
                f"default value provided. Inputs expected to be in the request {_braced(sent)}, or default input alias "
                f"set: {','.join(sorted(defaults))}"
            )
    if len(arrays) != len(sent):
        raise invalid_argument(f"Inputs contains invalid name. Used request inputs: {','.join(sorted(arrays))}, "
                               f"request input: {','.join(sorted(sent))}")
    return arrays


def _array(alias: str, value: Value) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    try:
        return tensors.to_array(value)
    except ValueError as error:
        raise invalid_argument(f"tensor parsing error: {alias}") from error


def _check_types(declared: meta_graph_pb2.SignatureDef, arrays: Mapping[str, np.ndarray]) -> None:
    """TensorFlow's own check, with the real server's numbers: the fed tensors counted in the order of their names."""
    by_tensor = sorted((info.name, alias) for alias, info in declared.inputs.items())
    for position, (_, alias) in enumerate(by_tensor):
        expected = declared.inputs[alias].dtype
        given = dtypes.from_numpy(arrays[alias]) if alias in arrays else expected
        if expected != given:
            raise invalid_argument(f"Expects arg[{position}] to be {dtypes.name(expected)} "
                                   f"but {dtypes.name(given)} is provided")


def _outputs(declared: meta_graph_pb2.SignatureDef, output_filter: Sequence[str]) -> List[str]:
    seen: List[str] = []
    for alias in output_filter:
        if alias not in declared.outputs:
            raise invalid_argument(f"output tensor alias not found in signature: {alias} "
                                   f"Outputs expected to be in the set {_braced(declared.outputs)}.")
        if alias in seen:
            raise invalid_argument(f"duplicate output tensor alias: {alias}")
        seen.append(alias)
    return seen or sorted(declared.outputs)


def _braced(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
