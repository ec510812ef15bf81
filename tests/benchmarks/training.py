"""Training speed: examples a second from Parquet, against the same batches in memory. What is between them is input.

Rounds alternate between all models and both ways, so that all meet the same load of the machine.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Dict, List, Sequence

import numpy as np
import tensorflow as tf

from pipeline.builder import Built
from pipeline.dataset import training_batches
from pipeline.prepared import Prepared


@dataclass(frozen=True)
class Measurement:
    """One model. Medians over the rounds."""

    model: str
    batch_size: int
    examples_per_second: float
    """From Parquet, negatives drawn, encoded and trained on."""
    in_memory_per_second: float
    """The training step alone."""
    ratio: float
    """Median of the rounds' ratios, Parquet over memory: 1 where input costs nothing."""
    rounds: int


def measure(models: Sequence[Built], prepared: Prepared, batches: int = 30, rounds: int = 5) -> List[Measurement]:
    """Trains each model on `batches` batches both ways in every round."""
    held = {built.experiment.model: _batches(built, prepared, batches).cache() for built in models}
    seconds: Dict[str, List[List[float]]] = {built.experiment.model: [] for built in models}
    for index in range(1 + rounds):
        for built in models:
            name = built.experiment.model
            times = [_seconds(built, data) for data in (_batches(built, prepared, batches), held[name])]
            # The first round traces, and fills the memory.
            if index > 0:
                seconds[name].append(times)
    return [
        _measurement(built, held[built.experiment.model], np.array(seconds[built.experiment.model])) for built in models
    ]


def table(measured: Sequence[Measurement]) -> List[List[str]]:
    """Rows of text, the head first."""
    head = ["model", "batch", "examples/s from Parquet", "examples/s in memory", "ratio"]
    return [
        head,
        *(
            [
                m.model,
                str(m.batch_size),
                f"{m.examples_per_second:,.0f}",
                f"{m.in_memory_per_second:,.0f}",
                f"{m.ratio:.2f}",
            ]
            for m in measured
        ),
    ]


def _batches(built: Built, prepared: Prepared, count: int) -> tf.data.Dataset:
    plan = built.experiment.data
    whole = training_batches(prepared, built.encoder, built.schema, built.spec.rows, plan, seed=1, epoch=0)
    return whole.repeat().take(count)


def _seconds(built: Built, data: tf.data.Dataset) -> float:
    start = time.perf_counter()
    built.graph.fit(data, verbose=0)
    return time.perf_counter() - start


def _measurement(built: Built, batches: tf.data.Dataset, seconds: np.ndarray) -> Measurement:
    examples = sum(int(next(iter(batch.labels.values())).shape[0]) for batch in batches)
    parquet, memory = np.median(seconds, axis=0)
    return Measurement(
        model=built.experiment.model,
        batch_size=built.experiment.data.batch_size,
        examples_per_second=examples / parquet,
        in_memory_per_second=examples / memory,
        ratio=float(np.median(seconds[:, 1] / seconds[:, 0])),
        rounds=len(seconds),
    )
