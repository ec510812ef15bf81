"""Version policies and labels are given by releases: writing the files anew must not take them back."""

from __future__ import annotations

from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from serving.deployment.server_files import WRITTEN
from signatures.errors import UsageError


def keep(fresh: str, previous: str) -> str:
    """The fresh ModelServerConfig, with the policies and labels that the previous one has for the same models.

    Raises UsageError when the previous one cannot be understood.
    """
    config, before = text_format.Parse(fresh, ModelServerConfig()), _parse(previous)
    known = {each.name: each for each in before.model_config_list.config}
    for model in config.model_config_list.config:
        if model.name in known:
            model.version_labels.update(known[model.name].version_labels)
            model.model_version_policy.CopyFrom(known[model.name].model_version_policy)
            if not model.model_version_policy.WhichOneof("policy_choice"):
                model.ClearField("model_version_policy")
    if config == text_format.Parse(fresh, ModelServerConfig()):
        return fresh
    return WRITTEN + text_format.MessageToString(config)


def _parse(previous: str) -> Any:
    try:
        return text_format.Parse(previous, ModelServerConfig())
    except text_format.ParseError as error:
        raise UsageError(
            f"the models.config that is there is no ModelServerConfig in text form ({error}); correct or remove it"
        ) from error
