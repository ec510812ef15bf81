"""Training speed: examples a second from Parquet, against the same batches in memory. What is between them is input.

Rounds alternate between all models and both ways, so that all meet the same load of the machine. An epoch is measured
whole where it has not too many batches: its start, when a window of rows is read and encoded, is the dear part.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Callable, Dict, List, NamedTuple, Sequence

import numpy as np
import tensorflow as tf

from pipeline.builder import Built
from pipeline.dataset import training_batches
from pipeline.prepared import Prepared


class _Time(NamedTuple):
    seconds: float
    processor_seconds: float


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
    input_share: float
    """Processor time of input, without a step, over that of training from Parquet. It is the share of a step that input
    would add if nothing of it were done while another core waits."""
    rounds: int


def measure(models: Sequence[Built], prepared: Prepared, batches: int = 400, rounds: int = 3) -> List[Measurement]:
    """Trains each model both ways in every round, on the first `batches` batches of an epoch."""
    held = {built.experiment.model: _batches(built, prepared, batches).cache() for built in models}
    times: Dict[str, List[List[_Time]]] = {built.experiment.model: [] for built in models}
    for index in range(1 + rounds):
        for built in models:
            name = built.experiment.model
            fresh = _batches(built, prepared, batches)
            found = [_fit(built, fresh), _fit(built, held[name]), _time(partial(_read, fresh))]
            # The first round traces, and fills the memory.
            if index > 0:
                times[name].append(found)
    return [_measurement(built, held[built.experiment.model], times[built.experiment.model]) for built in models]


def table(measured: Sequence[Measurement]) -> List[List[str]]:
    """Rows of text, the head first."""
    head = ["model", "batch", "examples/s from Parquet", "examples/s in memory", "ratio", "input share"]
    return [
        head,
        *(
            [
                m.model,
                str(m.batch_size),
                f"{m.examples_per_second:,.0f}",
                f"{m.in_memory_per_second:,.0f}",
                f"{m.ratio:.2f}",
                f"{m.input_share:.0%}",
            ]
            for m in measured
        ),
    ]


def _batches(built: Built, prepared: Prepared, count: int) -> tf.data.Dataset:
    plan = built.experiment.data
    whole = training_batches(prepared, built.encoder, built.schema, built.spec.rows, plan, seed=1, epoch=0)
    return whole.take(count)


def _fit(built: Built, data: tf.data.Dataset) -> _Time:
    return _time(lambda: built.graph.fit(data, verbose=0))


def _read(data: tf.data.Dataset) -> int:
    return sum(1 for _ in data)


def _time(work: Callable[[], object]) -> _Time:
    start, spent = time.perf_counter(), time.process_time()
    work()
    return _Time(time.perf_counter() - start, time.process_time() - spent)


def _measurement(built: Built, batches: tf.data.Dataset, times: List[List[_Time]]) -> Measurement:
    """times: of each round, from Parquet, from memory, and of input alone."""
    examples = sum(int(next(iter(batch.labels.values())).shape[0]) for batch in batches)
    seconds = np.array([[each.seconds for each in found] for found in times])
    processor = np.array([[each.processor_seconds for each in found] for found in times])
    parquet, memory, _ = np.median(seconds, axis=0)
    return Measurement(
        model=built.experiment.model,
        batch_size=built.experiment.data.batch_size,
        examples_per_second=examples / parquet,
        in_memory_per_second=examples / memory,
        ratio=float(np.median(seconds[:, 1] / seconds[:, 0])),
        input_share=float(np.median(processor[:, 2] / processor[:, 0])),
        rounds=len(seconds),
    )
