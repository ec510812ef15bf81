"""Training-serving skew: what a server answered, against the trained model on the same raw requests.

The model is restored from its run and fed by the training graph's encoder, so nothing of the exported file or the
server takes part on this side. A cell that the two encode differently shows as a score that is not the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np
import tensorflow as tf

from pipeline import inference, rank_items, training, wire
from pipeline.builder import Built
from pipeline.items import ItemTable
from signatures.errors import UsageError
from signatures.manifest import Manifest, TensorInfo

TOLERANCE = 1e-5
"""Of the largest score, or absolute below 1."""
_NO_SCORE = 1e30
"""Beyond it lies what a retrieval leaves where it found nothing; it is no size to measure by."""


@dataclass(frozen=True)
class Sample:
    """One request as it was served, and its answer. Arrays as of the signature's inputs and outputs."""

    signature: str
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Skew:
    """One output of one signature. away: the largest difference, as a multiple of what `TOLERANCE` is measured in."""

    signature: str
    output: str
    requests: int
    cells: int
    away: float
    worst: str
    """The request that it was found in; empty where there is no difference."""

    @property
    def agrees(self) -> bool:
        return self.away <= TOLERANCE


def check(built: Built, items: Optional[ItemTable], samples: Sequence[Sample]) -> List[Skew]:
    """Every float output of every signature that was asked; items: the catalogue of a model that retrieves.

    Raises UsageError for a request that the model does not have the signature for, or whose inputs are not its own.
    """
    functions = {each.name: each for each in inference.signatures(built, items)}
    found: Dict[tuple, List[tuple]] = {}
    for number, sample in enumerate(samples, start=1):
        if sample.signature not in functions:
            raise UsageError(f"request {number} asks for signature {sample.signature!r}, which the trained model has "
                             f"not; it has {', '.join(sorted(functions))}")
        signature = functions[sample.signature]
        raw = _raw(sample, signature.inputs, number)
        if items is not None and sample.signature == "rank_items":
            raw.update(_held(built, items, sample))
        expected = _trained(built, signature, raw)
        for output, served in sample.outputs.items():
            if output in expected and served.dtype.kind == "f":
                away = difference(served, expected[output].numpy())
                found.setdefault((sample.signature, output), []).append((away, number, served.size))
    return [_skew(signature, output, parts) for (signature, output), parts in sorted(found.items())]


def difference(served: np.ndarray, trained: np.ndarray) -> float:
    """The largest one, by the largest trained score where that is above 1; infinite for other shapes, or new NaN."""
    if served.shape != trained.shape:
        return float("inf")
    served, trained = served.astype(np.float64), trained.astype(np.float64)
    same = (served == trained) | (np.isnan(served) & np.isnan(trained))
    if bool(np.all(same)):
        return 0.0
    sizes = np.abs(trained)
    scale = max(1.0, float(np.max(sizes[sizes < _NO_SCORE], initial=0.0)))
    away = np.abs(served - trained)[~same] / scale
    return float(np.where(np.isnan(away), np.inf, away).max())


def _trained(built: Built, signature: Any, raw: Mapping[str, tf.Tensor]) -> Dict[str, tf.Tensor]:
    """The trained model's own answers. Candidates are scored one by one, as rows of training are."""
    if signature.kind == "score":
        return inference.predictions(built, built.encoder(raw))
    if signature.kind == "rank":
        return _rows_of_candidates(built, signature, raw)
    return dict(signature.function(raw))


def _rows_of_candidates(built: Built, signature: Any, raw: Mapping[str, tf.Tensor]) -> Dict[str, tf.Tensor]:
    """{task: scores [B, N]}: each pair of a user [B, …] and an item [B, N, …] as one row of the training graph."""
    user = {column.name for column in inference.columns_of(built, ("user", "context"))}
    item = next(iter(value for name, value in raw.items() if name not in user))
    size, count = int(item.shape[0]), int(item.shape[1])
    rows = {
        name: tf.repeat(value, count, axis=0) if name in user
        else tf.reshape(value, [size * count, *value.shape[2:]])
        for name, value in raw.items()
    }
    scores = inference.predictions(built, built.encoder(rows))
    return {name: tf.reshape(score, [size, count]) for name, score in scores.items()}


def _held(built: Built, items: ItemTable, sample: Sample) -> Dict[str, tf.Tensor]:
    """The item side that the candidates' ids stand for."""
    columns = inference.inputs_of(built.schema.columns("item"), candidates=True)
    ids = sample.inputs[str(built.schema.roles.item)]
    return wire.tensors(columns, rank_items.described(built.schema, items, ids))


def _raw(sample: Sample, inputs: Mapping[str, TensorInfo], number: int) -> Dict[str, tf.Tensor]:
    missing, extra = sorted(inputs.keys() - sample.inputs.keys()), sorted(sample.inputs.keys() - inputs.keys())
    if missing or extra:
        what = f"lacks {missing[0]!r}" if missing else f"has {extra[0]!r}, which the trained model does not read"
        raise UsageError(f"request {number}, for {sample.signature}, {what}; take a log of the version that this run "
                         "was exported as")
    return wire.tensors(inputs, sample.inputs)


def _skew(signature: str, output: str, parts: Sequence[tuple]) -> Skew:
    away, number, _ = max(parts)
    told = f"request {number}" if away > 0 else ""
    return Skew(signature, output, len(parts), sum(size for _, _, size in parts), away, told)


def check_age(run: Path, manifest: Manifest) -> None:
    """Raises UsageError when the run was trained on after its export: the two then are different models."""
    exported = datetime.fromisoformat(manifest.created.replace("Z", "+00:00")).timestamp()
    if training.best_time(run) > exported + 1:  # the manifest counts whole seconds
        raise UsageError(f"run {run} was trained after version {manifest.version} of {manifest.model} was exported, so "
                         "its scores are another model's; export it again, and log what that version answers")
