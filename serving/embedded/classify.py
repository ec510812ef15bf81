"""Classify, apart from any transport: examples in; for each, classes with a label, a score or both."""

from __future__ import annotations

from typing import List, Mapping, Tuple

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import input_pb2

from serving.embedded import examples
from serving.embedded.errors import invalid_argument
from serving.embedded.predict import DEFAULT_SIGNATURE
from serving.embedded.servable import Servable

METHOD = "tensorflow/serving/classify"
_CLASSES, _SCORES = "classes", "scores"

Classes = List[Tuple[bytes, float]]
"""The classes of one example: label and score; an output that the signature lacks leaves b"" or 0."""


def classify(servable: Servable, name: str, request: input_pb2.Input, timeout_ms: int = 0) -> List[Classes]:
    """One list of classes for each example. Raises StatusError as the real server answers."""
    declared = examples.signature(servable, name)
    wanted = outputs(declared, servable.checks_method_names)
    array = examples.serialized(request)
    examples.check_type(declared)
    found = servable.run(name or DEFAULT_SIGNATURE, {examples.INPUTS: array}, wanted, timeout_ms, "Classify")
    return result(len(array), found)


def outputs(declared: meta_graph_pb2.SignatureDef, checks_method_name: bool) -> List[str]:
    """The outputs to fetch, by alias. Raises StatusError for a signature that cannot classify."""
    if checks_method_name and declared.method_name != METHOD:
        raise invalid_argument(f"Expected classification signature method_name to be {METHOD}. "
                               f"Was: {declared.method_name}")
    examples.check_one_input(declared)
    if len(declared.outputs) not in (1, 2):
        raise invalid_argument(f"Expected one or two output Tensors, found {len(declared.outputs)}")
    examples.check_input_name(declared, "classification")
    wanted = [alias for alias in (_CLASSES, _SCORES) if alias in declared.outputs]
    if not wanted:
        raise invalid_argument('Expected classification signature outputs to contain at least one of "classes" or '
                               f'"scores". Signature was: {examples.quoted(declared)}')
    return wanted


def result(count: int, found: Mapping[str, np.ndarray]) -> List[Classes]:
    """The classes of `count` examples from the outputs [count, C]. Raises StatusError for any other shape or type."""
    classes, scores = found.get(_CLASSES), found.get(_SCORES)
    for alias, kind, array in ((_CLASSES, "DT_STRING", classes), (_SCORES, "DT_FLOAT", scores)):
        if array is not None:
            _check(alias, kind, array, count)
    if classes is None or scores is None:
        (width,) = {array.shape[1] for array in (classes, scores) if array is not None}
        classes = np.full([count, width], b"", object) if classes is None else classes
        scores = np.zeros([count, width], np.float32) if scores is None else scores
    if classes.shape[1] != scores.shape[1]:
        raise invalid_argument("Tensors class and score should match in dim_size(1). "
                               f"Got {classes.shape[1]} vs. {scores.shape[1]}")
    return [list(zip(labels, values)) for labels, values in zip(classes.tolist(), scores.tolist())]


def _check(alias: str, kind: str, array: np.ndarray, count: int) -> None:
    if array.ndim != 2:
        raise invalid_argument(f"Expected Tensor shape: [batch_size num_classes] but got {examples.shape(array)}")
    if examples.type_name(array) != kind:
        raise invalid_argument(f"Expected {alias} Tensor of {kind}. Got: {examples.type_name(array)}")
    if len(array) != count:
        raise invalid_argument(f"Expected {alias} output batch size of {count}. Got: {len(array)}")
