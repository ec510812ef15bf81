"""The studies there are: files of several runs, and each model's own file, which is a study of one run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List

import pydantic

from pipeline import experiment as experiments
from pipeline.experiment import Experiment
from pipeline.schema import describe
from pipeline.studies.form import Run, Study
from signatures.errors import UsageError


@dataclass(frozen=True)
class Found:
    """A study and where it is written."""

    name: str
    path: Path
    study: Study


def names() -> List[str]:
    """Of all files, the models' own among them."""
    return sorted(path.stem for path in experiments.FOLDER.glob("*.yaml"))


def find(name: str) -> Found:
    """The study of this name, or in the file of this path. Raises UsageError naming the key, the value and the cure."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else experiments.FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise UsageError(f"experiment {name!r} is unknown; choose one of {', '.join(names())}, or name a YAML file")
    return Found(path.stem, path, parse(experiments.read(path), path))


def parse(content: Dict[str, Any], path: Path) -> Study:
    """A study from plain data; that of a model's own file where there is one model and no run."""
    whole = content if "runs" in content else _of_one_model(content, path)
    try:
        return Study.model_validate(whole)
    except pydantic.ValidationError as error:
        raise UsageError(f"{path}: {describe(error, whole)}") from error


def experiment(found: Found, name: str, seed: int, overrides: List[str]) -> Experiment:
    """What one run of a study trains. Loads the model; raises UsageError naming the run and the key."""
    run = found.study.runs[name]
    try:
        path = None if run.file is None else found.path.parent / run.file
        return experiments.load(run.model, path, [*overrides, f"seed={seed}"], run.set)
    except UsageError as error:
        raise UsageError(f"{found.path}, run {name!r}: {error}") from error


def _of_one_model(content: Dict[str, Any], path: Path) -> Dict[str, Any]:
    model = content.get("model")
    if not isinstance(model, str):
        raise UsageError(f"{path} has neither runs nor a model; add one of them")
    own = {key: content[key] for key in experiments.STUDY_KEYS if key in content}
    own.setdefault("title", model)
    own.setdefault("question", f"What does {model} reach as its file says, and how far do the seeds lie apart?")
    own["runs"] = {model: Run(model=model, file=path.name).model_dump(exclude_none=True)}
    return own
