"""Reads Dockerfiles as far as these use the language: one instruction a line, continued lines, JSON or shell form."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List

INSTRUCTIONS = {"FROM", "ARG", "ENV", "RUN", "COPY", "WORKDIR", "USER", "HEALTHCHECK", "ENTRYPOINT", "CMD"}


@dataclass(frozen=True)
class Instruction:
    """`COPY a b` is Instruction("COPY", "a b"); continued lines are joined as a shell sees them."""

    name: str
    text: str

    @property
    def words(self) -> List[str]:
        """The words that are no --option."""
        return [word for word in self.text.split() if not word.startswith("--")]

    @property
    def options(self) -> Dict[str, str]:
        """--name=value as name: value."""
        pairs = (word[2:].partition("=") for word in self.text.split() if word.startswith("--"))
        return {name: value for name, _, value in pairs}

    @property
    def array(self) -> List[str]:
        """The JSON form."""
        return [str(word) for word in json.loads(self.text[self.text.index("["):])]


def read(path: Path) -> List[Instruction]:
    """The instructions of a Dockerfile, in order. An unknown one is an error."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    found = []
    for line in joined:
        name, _, text = line.partition(" ")
        assert name in INSTRUCTIONS, f"{path}: {line}"
        found.append(Instruction(name, text.strip()))
    assert found and found[0].name == "FROM", path
    return found


def all_of(instructions: List[Instruction], name: str) -> List[Instruction]:
    """Those of one name."""
    return [each for each in instructions if each.name == name]


def the(instructions: List[Instruction], name: str) -> Instruction:
    """The only one of its name."""
    only, = all_of(instructions, name)
    return only
