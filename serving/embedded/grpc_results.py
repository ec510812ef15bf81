"""The results of classify and regress as gRPC carries them."""

from __future__ import annotations

from typing import Sequence

from tensorflow_serving.apis import classification_pb2, regression_pb2

from serving.embedded.classify import Classes
from serving.embedded.errors import StatusError


def classifications(found: Sequence[Classes]) -> classification_pb2.ClassificationResult:
    """The proto of what `classify` gives. Raises StatusError for a label that is no UTF-8."""
    result = classification_pb2.ClassificationResult()
    for classes in found:
        added = result.classifications.add().classes
        for label, score in classes:
            try:
                added.add(label=label.decode(), score=score)
            except UnicodeDecodeError as error:
                text = f"The class label {label!r} is no UTF-8, which gRPC cannot carry; REST can"
                raise StatusError("INTERNAL", text) from error
    return result


def regressions(found: Sequence[float]) -> regression_pb2.RegressionResult:
    """The proto of what `regress` gives."""
    result = regression_pb2.RegressionResult()
    for value in found:
        result.regressions.add(value=value)
    return result
