"""Status and metadata of the models, as the protos that both transports answer with."""

from __future__ import annotations

import inspect
import json
from typing import Optional

from google.protobuf import json_format
from google.protobuf.message import Message
from tensorflow.core.protobuf import error_codes_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from serving.embedded.model import Version
from serving.embedded.models import Models

SIGNATURE_DEF = "signature_def"


def status(models: Models, name: str, number: Optional[int]) -> get_model_status_pb2.GetModelStatusResponse:
    """Every version of a model, or one. Raises StatusError NOT_FOUND."""
    response = get_model_status_pb2.GetModelStatusResponse()
    for version in models.status(name, number):
        told = response.model_version_status.add(version=version.number)
        told.state = get_model_status_pb2.ModelVersionStatus.State.Value(version.state)
        failed = version.error if version.state == "END" else None
        told.status.error_code = error_codes_pb2.Code.Value(failed.code if failed else "OK")
        told.status.error_message = failed.message if failed else ""
    return response


def metadata(name: str, version: Version) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """The signatures of a loaded version."""
    assert version.servable is not None  # lent out by Models.serving
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = name
    response.model_spec.version.value = version.number
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for signature, definition in version.servable.signatures.items():
        signatures.signature_def[signature].CopyFrom(definition)
    response.metadata[SIGNATURE_DEF].Pack(signatures)
    return response


def status_json(response: get_model_status_pb2.GetModelStatusResponse) -> bytes:
    """The REST body of a status."""
    return (_print(response) + "\n").encode()


def metadata_json(response: get_model_metadata_pb2.GetModelMetadataResponse) -> bytes:
    """The REST body of the metadata: the real server joins the parts by hand, because `Any` would print otherwise."""
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata[SIGNATURE_DEF].Unpack(signatures)
    specification = json.loads(_print(response.model_spec))
    specification.setdefault("signature_name", "")
    return (
        f'{{\n"model_spec":{json.dumps(specification, indent=1)}\n,\n'
        f'"metadata": {{"{SIGNATURE_DEF}": {_print(signatures)}\n}}\n}}\n'
    ).encode()


def _print(message: Message) -> str:
    # protobuf renamed this option in version 5.
    option = "always_print_fields_with_no_presence"
    if option not in inspect.signature(json_format.MessageToJson).parameters:
        option = "including_default_value_fields"
    options = {option: True}
    return json_format.MessageToJson(message, preserving_proto_field_name=True, indent=1, **options)
