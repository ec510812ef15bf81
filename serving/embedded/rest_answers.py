"""The body of each REST answer, from a parsed path and the request's body."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping

from serving.embedded import (
    classify,
    describe,
    json_examples,
    json_reader,
    json_tensors,
    json_text,
    json_writer,
    predict,
    regress,
)
from serving.embedded.errors import invalid_argument
from serving.embedded.models import Models
from serving.embedded.rest_paths import Target
from serving.embedded.servable import Servable


def answer(models: Models, target: Target, body: bytes, timeout_ms: int) -> bytes:
    """The answer's body. Raises StatusError for whatever is refused.

    A body is parsed before its model is looked up, as in the real server: what is no JSON is told even to who asks for
    a model that does not exist.
    """
    return _HANDLERS[target.method](models, target, body, timeout_ms)


def _predict(models: Models, target: Target, body: bytes, timeout_ms: int) -> bytes:
    document = json_reader.parse(body)
    signature = _signature_name(document)
    with models.serving(target.name, target.version, target.label) as version:
        assert version.servable is not None
        form, inputs = json_tensors.read(document, _inputs(version.servable, signature))
        outputs = predict.predict(version.servable, signature, inputs, (), timeout_ms)
    if not outputs:
        raise invalid_argument("Cannot convert empty tensor map to JSON")
    return json_writer.rows(outputs) if form == json_tensors.ROWS else json_writer.columns(outputs)


def _classify(models: Models, target: Target, body: bytes, timeout_ms: int) -> bytes:
    document = json_reader.parse(body)
    signature, examples = _signature_name(document), json_examples.read(document)
    with models.serving(target.name, target.version, target.label) as version:
        assert version.servable is not None
        return json_writer.classifications(classify.classify(version.servable, signature, examples, timeout_ms))


def _regress(models: Models, target: Target, body: bytes, timeout_ms: int) -> bytes:
    document = json_reader.parse(body)
    signature, examples = _signature_name(document), json_examples.read(document)
    with models.serving(target.name, target.version, target.label) as version:
        assert version.servable is not None
        return json_writer.regressions(regress.regress(version.servable, signature, examples, timeout_ms))


def _status(models: Models, target: Target, body: bytes, timeout_ms: int) -> bytes:
    """Every version, or one; a label in the path is ignored, as in the real server."""
    return describe.status_json(describe.status(models, target.name, target.version))


def _metadata(models: Models, target: Target, body: bytes, timeout_ms: int) -> bytes:
    with models.serving(target.name, target.version, target.label) as version:
        return describe.metadata_json(describe.metadata(target.name, version))


def _signature_name(document: Mapping[str, Any]) -> str:
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid_argument(f"JSON Value: {json_text.quoted(document)} not formatted correctly. "
                               "'signature_name' key must be a string value.")
    return name


def _inputs(servable: Servable, signature: str) -> json_tensors.Infos:
    name = signature or predict.DEFAULT_SIGNATURE
    if name not in servable.signatures:
        raise invalid_argument(f'Serving signature name: "{name}" not found in signature def')
    infos = dict(servable.signatures[name].inputs)
    if not infos:
        raise invalid_argument(f"Failed to get input map for signature: {signature or 'DEFAULT'}")
    return infos


_HANDLERS: Dict[str, Callable[[Models, Target, bytes, int], bytes]] = {
    "predict": _predict,
    "classify": _classify,
    "regress": _regress,
    "status": _status,
    "metadata": _metadata,
}
