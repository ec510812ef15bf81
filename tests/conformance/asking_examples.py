"""Requests of tf.Examples to model `examples`, as raw protos."""

from __future__ import annotations

from typing import Any, List, Optional, Sequence, Tuple

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


def example(**features: Any) -> Any:
    """A tf.Example; an int makes an int64 feature, a float a float one."""
    from tensorflow.core.example import example_pb2

    made = example_pb2.Example()
    for name, value in features.items():
        kind = made.features.feature[name]
        (kind.int64_list if isinstance(value, int) else kind.float_list).value.append(value)
    return made


def _request(kind: Any, signature: str, examples: Sequence[Any], context: Optional[Any] = None) -> Any:
    """A ClassificationRequest or RegressionRequest to model `examples`."""
    made = kind()
    made.model_spec.name, made.model_spec.signature_name = "examples", signature
    _fill(made.input, examples, context)
    return made


def _fill(target: Any, examples: Sequence[Any], context: Optional[Any] = None) -> None:
    given = target.example_list if context is None else target.example_list_with_context
    given.examples.extend(examples)
    if context is not None:
        target.example_list_with_context.context.CopyFrom(context)


def classify(signature: str, *examples: Any, context: Optional[Any] = None) -> Any:
    """A ClassificationRequest."""
    from tensorflow_serving.apis import classification_pb2

    return _request(classification_pb2.ClassificationRequest, signature, examples, context)


def regress(signature: str, *examples: Any, context: Optional[Any] = None) -> Any:
    """A RegressionRequest."""
    from tensorflow_serving.apis import regression_pb2

    return _request(regression_pb2.RegressionRequest, signature, examples, context)


def multi(*tasks: Tuple[str, str], examples: Sequence[Any] = (), model: str = "examples") -> Any:
    """A MultiInferenceRequest of (signature, method) pairs."""
    from tensorflow_serving.apis import inference_pb2

    made = inference_pb2.MultiInferenceRequest()
    for signature, method in tasks:
        task = made.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = model, signature
    _fill(made.input, examples)
    return made


def classes(result: Any) -> List[List[Tuple[str, float]]]:
    """The label and score of each class of each example."""
    return [[(each.label, each.score) for each in found.classes] for found in result.classifications]


def numbers(result: Any) -> List[float]:
    """The number of each example."""
    return [found.value for found in result.regressions]
