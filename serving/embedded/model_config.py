"""The list of models to serve: from the flags, or from a ModelServerConfig in text form."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving.embedded.errors import StatusError, invalid_argument
from serving.embedded.flags import Flags
from serving.embedded.versions import Policy
from signatures.errors import UsageError


@dataclass(frozen=True)
class ModelSettings:
    """One model of the list."""

    name: str
    base_path: Path
    policy: Policy = Policy()
    labels: Dict[str, int] = field(default_factory=dict)


def from_flags(flags: Flags) -> List[ModelSettings]:
    """The models that the command line asks for; a config file goes before --model_base_path, as in the real server.

    Raises UsageError when the file cannot be read or understood, or a path in it is relative.
    """
    if not flags.model_config_file:
        base_path = Path(flags.model_base_path)
        if not base_path.is_absolute():
            raise UsageError(f"--model_base_path is {flags.model_base_path!r}, which is relative; "
                             f"tensorflow_model_server demands an absolute path such as {base_path.absolute()}")
        return [ModelSettings(flags.model_name, base_path)]
    return from_file(Path(flags.model_config_file))


def from_file(path: Path) -> List[ModelSettings]:
    """The models in a text-proto file. Raises UsageError when it cannot be read or understood."""
    try:
        content = path.read_text(encoding="utf-8")
        return settings(text_format.Parse(content, model_server_config_pb2.ModelServerConfig()))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--model_config_file {path} cannot be read ({error}); give a readable text file") from error
    except text_format.ParseError as error:
        raise UsageError(f"--model_config_file {path} is no ModelServerConfig in text form ({error})") from error
    except StatusError as error:
        raise UsageError(f"--model_config_file {path}: {error.message}") from error


def settings(config: model_server_config_pb2.ModelServerConfig) -> List[ModelSettings]:
    """The models of a config. Raises StatusError with the real server's texts."""
    if config.WhichOneof("config") != "model_config_list":
        raise invalid_argument("ServerModelConfig type not supported by HandleReloadConfigRequest. "
                               "Only ModelConfigList is currently supported")
    models: Dict[str, ModelSettings] = {}
    for model in config.model_config_list.config:
        if model.name in models:
            raise invalid_argument(f"Illegal to list model {model.name} multiple times in config list")
        if not Path(model.base_path).is_absolute():
            raise invalid_argument(f"Expected model {model.name} to have an absolute path or URI; "
                                   f"got base_path()={model.base_path}")
        if not model.model_platform and not model.model_type:
            raise invalid_argument("Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
                                   "ModelServerConfig::model_platform.")
        if model.model_platform not in ("", "tensorflow"):
            raise invalid_argument(f"Model {model.name} requests unsupported platform {model.model_platform}")
        models[model.name] = ModelSettings(
            model.name, Path(model.base_path), _policy(model.model_version_policy), dict(model.version_labels)
        )
    return list(models.values())


def _policy(policy: Any) -> Policy:
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return Policy(latest=None)
    if choice == "specific":
        return Policy(latest=None, specific=frozenset(policy.specific.versions))
    return Policy(latest=policy.latest.num_versions or 1)
