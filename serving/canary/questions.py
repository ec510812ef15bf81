"""What both versions are asked: the golden requests of their exports, and a sample of what users asked."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

from serving import prediction_logs
from serving.client.encode import Inputs
from serving.load import sources
from serving.releases import golden

GOLDEN, LIVE = "golden", "live"


@dataclass(frozen=True)
class Question:
    """One request. source: golden or live."""

    signature: str
    inputs: Inputs
    source: str


def gather(old: Path, new: Path, live: Optional[Path], sample: int, seed: int) -> List[Question]:
    """Golden requests of both exports, and `sample` of the live ones, drawn with a seed. Raises UsageError.

    live: a .json or .jsonl file as of signet load, or a TFRecord file of PredictionLog under any other name.
    """
    found = []
    for export in (old, new):
        for name in golden.signatures(export):
            found += [Question(name, each.inputs, GOLDEN) for each in sources.golden(export, name)]
    if live is not None:
        asked = _live(live)
        found += asked if len(asked) <= sample else random.Random(seed).sample(asked, sample)
    return found


def _live(file: Path) -> List[Question]:
    if file.suffix in (".json", ".jsonl"):
        return [Question(each.signature or "serving_default", each.inputs, LIVE) for each in sources.from_file(file)]
    return [Question(each.signature, each.inputs, LIVE) for each in prediction_logs.read(file)]
