"""Training steps of DeepFM on 26 id and 13 number fields: lazy updates of the tables against the dense optimizer.

Batches of 4,096 examples wait in memory, so that the step alone is measured; rounds alternate between both ways. Ids of
a field fall like 1 / rank, as they do in logs.

Page faults tell whether the allocator gives memory back between two steps. Nothing is set for it: glibc keeps what is
below 32 MiB once it has been freed once, and no tensor of a lazy step is larger. With M_MMAP_MAX=0, one arena and no
trimming (mallopt), a lazy step at a million rows took the same processor time and had as few faults, none.
"""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from typing import Callable, Dict, List, Sequence, Tuple

import numpy as np
import tensorflow as tf

from pipeline import builder
from pipeline.batches import TrainingBatch
from pipeline.encoding import FeatureSpace, Table
from pipeline.experiment import Training
from pipeline.models import deepfm
from pipeline.schema import Schema, parse
from pipeline.training_graph import TrainingGraph

ID_FIELDS, NUMBER_FIELDS = 26, 13
BATCH = 4096
Step = Callable[[TrainingBatch], object]


@dataclass(frozen=True)
class Measurement:
    """One size of all tables together. Medians over the rounds."""

    rows: int
    dense_milliseconds: float
    """Of a step, wall clock: every row of every table moves."""
    lazy_milliseconds: float
    """The rows of the batch alone."""
    ratio: float
    """Median of the rounds' ratios, dense over lazy: above 1, lazy is faster."""
    quartiles: Tuple[float, float]
    cpu_ratio: float
    lazy_cpu_milliseconds: float
    """Of a step, of all cores together."""
    page_faults: Tuple[float, float]
    """Of a step, dense and lazy: memory that was given back to the system and is asked for again."""
    rounds: int


def measure(rows: int, steps: int = 4, rounds: int = 9) -> Measurement:
    """`rows` are those of all tables together."""
    batches = [_batch(rows // ID_FIELDS, seed) for seed in range(steps)]
    ways = {name: _step(rows // ID_FIELDS, name, batches[0]) for name in ("dense", "lazy")}
    wall: Dict[str, List[float]] = {name: [] for name in ways}
    cpu: Dict[str, List[float]] = {name: [] for name in ways}
    faults: Dict[str, List[float]] = {name: [] for name in ways}
    for number in range(1 + rounds):
        for name, step in ways.items():
            start, spent, faulted = time.perf_counter(), time.process_time(), _page_faults()
            for batch in batches:
                step(batch)
            if number > 0:  # the first round traces
                faults[name].append((_page_faults() - faulted) / steps)
                wall[name].append((time.perf_counter() - start) / steps)
                cpu[name].append((time.process_time() - spent) / steps)
    ratios = np.array(wall["dense"]) / np.array(wall["lazy"])
    low, high = np.quantile(ratios, (0.25, 0.75))
    return Measurement(
        rows=rows,
        dense_milliseconds=1000 * float(np.median(wall["dense"])),
        lazy_milliseconds=1000 * float(np.median(wall["lazy"])),
        ratio=float(np.median(ratios)),
        quartiles=(float(low), float(high)),
        cpu_ratio=float(np.median(np.array(cpu["dense"]) / np.array(cpu["lazy"]))),
        lazy_cpu_milliseconds=1000 * float(np.median(cpu["lazy"])),
        page_faults=(float(np.median(faults["dense"])), float(np.median(faults["lazy"]))),
        rounds=rounds,
    )


def table(measured: Sequence[Measurement]) -> List[List[str]]:
    """Rows of text, the head first."""
    head = ["embedding rows", "dense ms", "lazy ms", "ratio", "quartiles", "CPU ratio", "lazy CPU ms", "page faults"]
    return [
        head,
        *(
            [
                f"{m.rows:,}",
                f"{m.dense_milliseconds:.1f}",
                f"{m.lazy_milliseconds:.1f}",
                f"{m.ratio:.2f}",
                f"{m.quartiles[0]:.2f} to {m.quartiles[1]:.2f}",
                f"{m.cpu_ratio:.2f}",
                f"{m.lazy_cpu_milliseconds:.1f}",
                f"{m.page_faults[0]:,.0f} / {m.page_faults[1]:,.0f}",
            ]
            for m in measured
        ),
    ]


def _page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _schema() -> Schema:
    ids = [{"name": f"id_{place}", "side": "item", "kind": "categorical"} for place in range(ID_FIELDS)]
    numbers = [{"name": f"number_{place}", "side": "user", "kind": "numeric"} for place in range(NUMBER_FIELDS)]
    labels, tasks = [{"name": "click"}], [{"name": "click", "label": "click"}]
    return parse({"name": "fields", "features": [*ids, *numbers], "labels": labels, "tasks": tasks}, "benchmark")


def _step(rows: int, way: str, example: TrainingBatch) -> Step:
    training = Training.model_validate({"embedding_updates": way})
    schema = _schema()
    tables = {f"id_{place}": Table(f"id_{place}", rows) for place in range(ID_FIELDS)}
    model = deepfm.DeepFM(
        deepfm.DeepFMConfig(dropout=0.0), FeatureSpace(schema, tables, way == "lazy"), schema.tasks, seed=1
    )
    updates = (lambda found: builder.row_updates(training, found)) if way == "lazy" else None
    graph = TrainingGraph(model, schema.tasks, {}, row_updates=updates)
    graph.compile(optimizer=builder.optimizer(training))
    graph.prepare(example)
    step: Step = tf.function(graph.train_step)
    return step


def _batch(rows: int, seed: int) -> TrainingBatch:
    generator = np.random.default_rng(seed)
    features = {}
    for place in range(ID_FIELDS):
        ids = np.exp(generator.uniform(0.0, np.log(rows), BATCH)).astype(np.int32) - 1
        features[f"id_{place}"] = tf.constant(ids % rows)
    for place in range(NUMBER_FIELDS):
        features[f"number_{place}"] = tf.constant(generator.normal(size=BATCH).astype(np.float32))
    labels = {"click": tf.constant(generator.integers(0, 2, BATCH).astype(np.float32))}
    return TrainingBatch(features, labels, {}, {})
