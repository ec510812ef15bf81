"""How it looks inside a container: where the models and the config files are, and which ports answer."""

from __future__ import annotations

from dataclasses import dataclass

METRICS_PATH = "/monitoring/prometheus/metrics"


@dataclass(frozen=True)
class Inside:
    """Paths and ports as the server sees them."""

    models: str = "/models"
    config: str = "/config"
    port: int = 8500
    rest_port: int = 8501


CONTAINER = Inside()
