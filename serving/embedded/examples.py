"""What classify, regress and multi-inference share: tf.Examples in a request, one string tensor for the graph."""

from __future__ import annotations

import numpy as np
from google.protobuf import text_format
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import input_pb2

from serving.embedded import dtypes
from serving.embedded.errors import invalid_argument
from serving.embedded.predict import DEFAULT_SIGNATURE
from serving.embedded.servable import Servable

INPUTS = "inputs"
"""The alias of the one input that such a signature has."""


def serialized(request: input_pb2.Input) -> np.ndarray:
    """The examples, [n] of bytes, each with the context in front. Raises StatusError when there are none."""
    kind = request.WhichOneof("kind")
    given = getattr(request, kind) if kind else None
    if given is None or not given.examples:
        raise invalid_argument("Input is empty.")
    # Two serialized messages, one behind the other, are one: the example's feature goes before the context's.
    context = given.context.SerializeToString() if kind == "example_list_with_context" else b""
    array = np.empty(len(given.examples), object)
    array[:] = [context + example.SerializeToString() for example in given.examples]
    return array


def signature(servable: Servable, name: str) -> meta_graph_pb2.SignatureDef:
    """The signature of a classify or regress request; the empty name is `serving_default`. Raises StatusError."""
    key = name or DEFAULT_SIGNATURE
    if key not in servable.signatures:
        raise invalid_argument(f"No signature was found with the name: {key}")
    return servable.signatures[key]


def check_one_input(declared: meta_graph_pb2.SignatureDef) -> None:
    """Raises StatusError when a signature takes more than the examples."""
    if len(declared.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")


def check_input_name(declared: meta_graph_pb2.SignatureDef, kind: str) -> None:
    """Raises StatusError when the one input is not called `inputs`; `kind` is the word for the text."""
    if INPUTS not in declared.inputs:
        raise invalid_argument(f"No {kind} inputs found in SignatureDef: {quoted(declared)}")


def check_type(declared: meta_graph_pb2.SignatureDef) -> None:
    """Raises StatusError, as TensorFlow does at the run, when the input takes something else than strings."""
    expected = declared.inputs[INPUTS].dtype
    if expected != types_pb2.DT_STRING:
        raise invalid_argument(f"Expects arg[0] to be {dtypes.name(expected)} but string is provided")


def quoted(declared: meta_graph_pb2.SignatureDef) -> str:
    """A signature as the error texts quote it."""
    return str(text_format.MessageToString(declared))


def shape(array: np.ndarray) -> str:
    """`[2,3]`, as TensorFlow prints a shape."""
    return "[" + ",".join(map(str, array.shape)) + "]"


def type_name(array: np.ndarray) -> str:
    """`DT_FLOAT`, … as the protos name a type."""
    return str(types_pb2.DataType.Name(dtypes.from_numpy(array)))
