"""The server's models.config, where releases live: which versions are loaded, and which version has which label.

The file is the one record of that, for the server cannot be asked. A server that polls the file, one that is sent a
reload request, and one that starts tomorrow thus all agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Container, Dict, FrozenSet, Iterable, Optional

from google.protobuf import text_format

from signatures import protos
from signatures.errors import UsageError
from signatures.files import write_whole

STABLE, CANARY = "stable", "canary"
"""The labels that releases move; a client that asks for `stable` gets what was promoted, and nothing else."""


@dataclass(frozen=True)
class State:
    """What a config says of one model."""

    versions: Optional[FrozenSet[int]] = None
    """Those to be loaded; None: a policy decides (the newest, or all), so that any new export goes live by itself."""
    labels: Dict[str, int] = field(default_factory=dict)

    def plus(self, versions: Iterable[int]) -> State:
        """With more versions loaded."""
        return State((self.versions or frozenset()) | frozenset(versions), self.labels)


@dataclass(frozen=True)
class ConfigFile:
    """A ModelServerConfig in text form, replaced as a whole at every change."""

    path: Path

    def read(self) -> Any:
        """The message. Raises UsageError when there is none, or it cannot be understood."""
        try:
            config = text_format.Parse(self.path.read_text(encoding="utf-8"), _message())
        except FileNotFoundError as error:
            raise UsageError(f"{self.path} is not there, so nobody knows what the server serves; start it with signet "
                             "serve, or give the file that it was started with by --config FILE") from error
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{self.path} cannot be read ({error}); give a readable --config FILE") from error
        except text_format.ParseError as error:
            raise UsageError(f"{self.path} is no ModelServerConfig in text form ({error}); correct it") from error
        if config.WhichOneof("config") != "model_config_list":
            raise UsageError(f"{self.path} holds no model_config_list; list the models in it")
        return config

    def write(self, config: Any) -> None:
        """Keeps the comments above the first line that is none. Raises UsageError when the disk refuses."""
        text = self._comments() + text_format.MessageToString(config)
        write_whole(self.path, text, "give a writable --config FILE")

    def _comments(self) -> str:
        if not self.path.is_file():
            return ""
        kept = []
        for line in self.path.read_text(encoding="utf-8").splitlines(keepends=True):
            if not line.startswith("#"):
                break
            kept.append(line)
        return "".join(kept)


def state(config: Any, model: str) -> State:
    """What the config says of a model. Raises UsageError for one that it does not list."""
    found = _entry(config, model)
    policy = found.model_version_policy
    specific = policy.WhichOneof("policy_choice") == "specific"
    return State(frozenset(policy.specific.versions) if specific else None, dict(found.version_labels))


def with_state(config: Any, model: str, wanted: State) -> Any:
    """A copy in which the model has this state; everything else is as it was."""
    copy = type(config)()
    copy.CopyFrom(config)
    found = _entry(copy, model)
    if wanted.versions is not None:
        found.ClearField("model_version_policy")
        found.model_version_policy.specific.versions.extend(sorted(wanted.versions))
    found.ClearField("version_labels")
    found.version_labels.update(wanted.labels)
    return copy


def names(config: Any) -> FrozenSet[str]:
    """The models that it lists."""
    return frozenset(each.name for each in config.model_config_list.config)


def only(config: Any, models: Container[str]) -> Any:
    """A copy that lists no others."""
    copy = type(config)()
    copy.CopyFrom(config)
    del copy.model_config_list.config[:]
    copy.model_config_list.config.extend(each for each in config.model_config_list.config if each.name in models)
    return copy


def _entry(config: Any, model: str) -> Any:
    found = [each for each in config.model_config_list.config if each.name == model]
    if not found:
        known = ", ".join(sorted(names(config))) or "none"
        raise UsageError(f"model {model!r} is not in the server's models.config, which lists {known}; add it by "
                         "starting the server with it")
    return found[0]


def _message() -> Any:
    return protos.message("tensorflow.serving.ModelServerConfig")()
