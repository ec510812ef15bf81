"""Predict, apart from any transport: checks the request against the signature and runs it."""

from __future__ import annotations

from typing import Dict, Iterable, List, Mapping, Sequence

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2

from serving.embedded import dtypes
from serving.embedded.errors import StatusError, invalid_argument
from serving.embedded.servable import Servable

DEFAULT_SIGNATURE = "serving_default"
_METHODS = ("tensorflow/serving/predict", "tensorflow/serving/classify", "tensorflow/serving/regress")


def predict(
    servable: Servable, signature: str, inputs: Mapping[str, np.ndarray], output_filter: Sequence[str],
    timeout_ms: int = 0,
) -> Dict[str, np.ndarray]:
    """The outputs by alias, all of them when the filter is empty. Raises StatusError as the real server answers."""
    declared = signature_of(servable, signature)
    _check_inputs(declared, inputs)
    outputs = _outputs(declared, output_filter)
    return servable.run(signature or DEFAULT_SIGNATURE, inputs, outputs, timeout_ms)


def signature_of(servable: Servable, name: str) -> meta_graph_pb2.SignatureDef:
    """The declared signature; the empty name is `serving_default`."""
    key = name or DEFAULT_SIGNATURE
    if key not in servable.signatures:
        raise StatusError("FAILED_PRECONDITION", f'Serving signature key "{key}" not found.')
    declared = servable.signatures[key]
    if declared.method_name not in _METHODS:
        raise StatusError("INTERNAL", "Expected prediction signature method_name to be one of {" + ", ".join(_METHODS)
                          + "}. Was: " + declared.method_name)
    return declared


def _check_inputs(declared: meta_graph_pb2.SignatureDef, inputs: Mapping[str, np.ndarray]) -> None:
    extra = set(inputs) - set(declared.inputs)
    missing = set(declared.inputs) - set(inputs) - set(declared.defaults)
    if extra or missing:
        raise invalid_argument(
            f"input size does not match signature: {len(inputs)}!={len(declared.inputs)} "
            f"len({_braced(inputs)}) != len({_braced(declared.inputs)}). "
            f"Sent extra: {_braced(extra)}. Missing but required: {_braced(missing)}."
        )
    # The session would say it with other words: it numbers the fed tensors in the order of their names.
    by_tensor = sorted((declared.inputs[alias].name, alias) for alias in inputs)
    for position, (_, alias) in enumerate(by_tensor):
        expected, given = declared.inputs[alias].dtype, dtypes.from_numpy(inputs[alias])
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
