"""What a server starts with: the exported models, in the versions and with the labels that releases gave them.

It is noted beside the exports, because a running server cannot be asked for it, and releases build on it.
"""

from __future__ import annotations

from pathlib import Path

from google.protobuf import text_format

from serving.deployment.labels import keep
from serving.releases.config import ConfigFile
from signatures import protos
from signatures.errors import UsageError


def released(fresh: str, file: Path) -> str:
    """A ModelServerConfig for these models, as the last releases left them. Raises UsageError for a broken file."""
    try:
        return keep(fresh, file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return fresh
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read ({error}); correct or remove it") from error


def note(started: str, file: Path) -> None:
    """Writes what a server was started with; models of the file that it was not started with stay as they are.

    Raises UsageError when the disk refuses.
    """
    config = text_format.Parse(started, protos.message("tensorflow.serving.ModelServerConfig")())
    if file.is_file():
        served = {each.name for each in config.model_config_list.config}
        others = ConfigFile(file).read().model_config_list.config
        config.model_config_list.config.extend(each for each in others if each.name not in served)
    ConfigFile(file).write(config)
