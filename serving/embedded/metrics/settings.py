"""MonitoringConfig: where, if anywhere, the page is answered."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from google.protobuf import text_format

from serving.embedded import config_protos
from signatures.errors import UsageError

DEFAULT_PATH = "/monitoring/prometheus/metrics"


def page_path(file: str) -> Optional[str]:
    """The path of the page; None when the file, or its content, switches nothing on. Raises UsageError."""
    if not file:
        return None
    try:
        config = config_protos.read(Path(file), config_protos.MonitoringConfig()).prometheus_config
    except (OSError, UnicodeDecodeError) as error:
        text = f"--monitoring_config_file {file} cannot be read ({error}); give a readable text file"
        raise UsageError(text) from error
    except text_format.ParseError as error:
        raise UsageError(f"--monitoring_config_file {file} holds no MonitoringConfig in text form ({error}); write for "
                         "example prometheus_config { enable: true }") from error
    return (config.path or DEFAULT_PATH) if config.enable else None
