"""Which code made a thing: a digest of the files that decide it, so that a reused run of other code can be told."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Iterable, List

ROOT = Path(__file__).parent.parent
_NOT_TRAINING = (
    *("console", "verbs", "demo", "recommend", "export", "gates", "publishing", "warm_up", "wire", "requests"),
    *("saved_models", "skew", "inference", "retrieval", "places", "training", "checkpoints"),
)
"""Files beside the training code that change nothing of what it learns."""
_EVALUATION = ("bootstrap", "candidates", "draws", "evaluate", "metrics", "questions", "ranking", "results", "rows")


def of_training(model: str) -> str:
    """Of the model's file, the layers, and what turns rows into batches and steps."""
    beside = [path for path in ROOT.glob("*.py") if path.stem not in _NOT_TRAINING]
    return _digest([ROOT / "models" / f"{model}.py", *(ROOT / "layers").glob("*.py"), *beside])


def of_evaluation() -> str:
    """Of what asks, scores and counts."""
    names = (*_EVALUATION, "scoring", "slices", "tasks", "aspects", "cost")
    return _digest(ROOT / "evaluation" / f"{name}.py" for name in names)


def of_baseline(name: str) -> str:
    """Of all baselines, as they share files, and of what asks them."""
    return _digest((ROOT / "baselines").glob("*.py")) + of_evaluation()


def remember(run: Path, digest: str) -> None:
    """Notes in a run's folder which code trains it from here on."""
    run.mkdir(parents=True, exist_ok=True)
    if known(run)[-1:] != [digest]:
        with (run / "code.txt").open("a", encoding="utf-8") as file:
            file.write(digest + "\n")


def known(run: Path) -> List[str]:
    """The code that trained it, in order; more than one where it was stopped and went on with other code."""
    path = run / "code.txt"
    return path.read_text(encoding="utf-8").split() if path.is_file() else []


def _digest(paths: Iterable[Path]) -> str:
    content = hashlib.sha256()
    for path in sorted(paths):
        content.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return content.hexdigest()[:12]
