"""Compose files as far as these use the format, strictly: an unknown key or a value of another type is an error.

Also what `docker compose` does before it starts anything: reads the env file, fills in variables, lays files over
each other.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict, List, Literal, Mapping, Optional, Union

import pydantic
import yaml

VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?::([-?])([^}]*))?\})")


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)


class Bind(Strict):
    create_host_path: bool


class Volume(Strict):
    type: Literal["bind"]
    source: str
    target: str
    read_only: bool
    bind: Bind


class Limits(Strict):
    memory: str


class Device(Strict):
    driver: str
    count: int
    capabilities: List[str]


class Reservations(Strict):
    devices: List[Device]


class Resources(Strict):
    limits: Limits
    reservations: Optional[Reservations] = None


class Deploy(Strict):
    resources: Resources


class Healthcheck(Strict):
    test: List[str]
    interval: str
    timeout: str
    retries: int
    start_period: str


class Service(Strict):
    image: str
    entrypoint: List[str] = []
    command: List[str] = []
    init: bool = False
    user: str = ""
    read_only: bool = False
    tmpfs: List[str] = []
    cap_drop: List[str] = []
    security_opt: List[str] = []
    restart: str = ""
    ports: List[str] = []
    environment: Dict[str, Optional[str]] = {}
    volumes: List[Union[str, Volume]] = []
    deploy: Optional[Deploy] = None
    healthcheck: Optional[Healthcheck] = None


class Compose(Strict):
    name: str
    services: Dict[str, Service]
    volumes: Dict[str, None]


def read(paths: List[Path], variables: Mapping[str, str]) -> Compose:
    """The files laid over each other in order, with the variables filled in. An unset required variable is an error."""
    merged: Dict[str, Any] = {}
    for path in paths:
        merged = overlay(merged, yaml.safe_load(fill(path.read_text("utf-8"), variables)))
    return Compose.model_validate(merged)


def fill(text: str, variables: Mapping[str, str]) -> str:
    """${NAME:-default} and ${NAME:?why}; $$ is a dollar."""

    def value(match: re.Match[str]) -> str:
        dollar, name, kind, rest = match.groups()
        if dollar:
            return "$"
        if kind == "-":
            return variables.get(name) or rest
        assert variables.get(name), f"{name} is not set: {rest}"
        return variables[name]

    return VARIABLE.sub(value, text)


def overlay(lower: Any, upper: Any) -> Any:
    """Mappings are merged; anything else in the upper file, such as a command, replaces what is below."""
    if not isinstance(lower, dict) or not isinstance(upper, dict):
        return upper
    return {**lower, **{key: overlay(lower[key], value) if key in lower else value for key, value in upper.items()}}


def env_file(text: str) -> Dict[str, str]:
    """NAME='value' lines; single quotes keep the value as it is."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {line.partition("=")[0]: line.partition("=")[2].strip("'") for line in lines}
