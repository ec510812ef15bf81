"""A declaration beside a model that is not ours: a small YAML file that says what its manifest would say.

    features: [price, user_id]        # what clients have; the list catches a mask under any name
    training_only: [mask]             # what they have not
    suppressions:                     # findings that this model may have, each with the reason
      - {code: SIG206, reason: "its server is built with XLA"}
"""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional

import pydantic
import yaml

from signatures.errors import UsageError
from signatures.manifest import Suppression

LARGEST = 1 << 20
"""Bytes."""


class Told(pydantic.BaseModel):
    """What a declaration file says. `features` is None where it lists none."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True)

    features: Optional[List[str]] = None
    training_only: List[str] = []
    suppressions: List[Suppression] = []


def read(path: Path) -> Told:
    """The declaration in a file. Raises UsageError when it cannot be read or says something else."""
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"declaration {path} is larger than 1 MiB; give a file with features and training_only")
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise UsageError(f"declaration {path} cannot be read ({error.strerror}); give a YAML file") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"declaration {path} is no YAML ({first}); write features: [NAME, …]") from error
    if not isinstance(content, dict):
        raise UsageError(f"declaration {path} is no table of names to lists; write features: [NAME, …]")
    try:
        return Told.model_validate(content)
    except pydantic.ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise UsageError(
            f"declaration {path}: {where}: {problem['msg'].lower()}; it may hold features and training_only, lists of "
            "names, and suppressions, a list of {code, reason}"
        ) from error
