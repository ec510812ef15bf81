"""A model behind two products that share its variables: the training graph, and the inference signatures.

Only the first ever sees a label, a mask or a weight; the second is made from features alone (`pipeline.inference`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, List, Optional, Tuple

import numpy as np
import tensorflow as tf
import tf_keras as keras

from pipeline.encoding import Encoder
from pipeline.experiment import Experiment, Training, model_config
from pipeline.models import registry
from pipeline.models.specification import ModelSpec
from pipeline.prepared import Prepared
from pipeline.row_updates import RULES, RowUpdates
from pipeline.schema import Schema, Sequence
from pipeline.seeds import derive
from pipeline.training_graph import TrainingGraph
from signatures.errors import UsageError


@dataclass(frozen=True)
class Built:
    """What the builder made of one experiment and one prepared data set."""

    experiment: Experiment
    spec: ModelSpec
    schema: Schema
    """Of the features that the model reads and the tasks it learns."""
    encoder: Encoder
    model: Any
    graph: TrainingGraph


def build(experiment: Experiment, prepared: Prepared) -> Built:
    """Raises UsageError when the schema lacks what the experiment names."""
    spec = registry.load(experiment.model)
    schema = select(experiment, spec, prepared.schema)
    # Keras reads its precision policy while layers are made; it is put back at once, as nothing else should see it.
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(experiment.training.precision)
    try:
        encoder = Encoder(schema, prepared)
        space = replace(encoder.space, fused=experiment.training.embedding_updates == "lazy")
        model = spec.build(
            model_config(experiment), space, schema.tasks, seed=derive(experiment.seed, experiment.model)
        )
        graph = TrainingGraph(
            model,
            schema.tasks,
            experiment.training.task_weights,
            experiment.training.accumulate,
            clip_norm=experiment.training.clip_norm,
            row_updates=partial(row_updates, experiment.training) if space.fused else None,
        )
        graph.compile(
            optimizer=optimizer(experiment.training), steps_per_execution=experiment.training.batches_per_call
        )
    finally:
        keras.mixed_precision.set_global_policy(before)
    return Built(experiment, spec, schema, encoder, model, graph)


def select(experiment: Experiment, spec: ModelSpec, schema: Schema) -> Schema:
    """The part of the schema that this experiment's model reads."""
    names = experiment.features if experiment.features is not None else schema.feature_names
    allowed = _with_history(
        schema.model_copy(update={"features": tuple(schema.feature(name) for name in names)}), experiment.history_length
    )
    selected = allowed.select(
        spec.select(allowed, model_config(experiment)), _checked_tasks(experiment, spec, schema)
    )
    if "rank" in spec.signatures and not selected.columns("item"):
        raise UsageError(f"schema {schema.name!r} has no item feature, but {experiment.model} ranks items; add one")
    return selected


def optimizer(training: Training) -> keras.optimizers.Optimizer:
    """Keras' own; clipping is the training graph's, which sees the gradients of all variables."""
    rate = training.learning_rate
    made = {
        "adam": lambda: keras.optimizers.Adam(rate),
        "adamw": lambda: keras.optimizers.AdamW(rate, weight_decay=training.weight_decay),
        "adagrad": lambda: keras.optimizers.Adagrad(rate),
        "sgd": lambda: keras.optimizers.SGD(rate, momentum=training.momentum),
    }[training.optimizer]()
    if training.precision == "mixed_float16":
        return keras.mixed_precision.LossScaleOptimizer(made)
    return made


def row_updates(training: Training, tables: List[tf.Variable]) -> RowUpdates:
    """The same optimizer for tables of which a step updates the rows of its batch alone."""
    return RowUpdates(
        RULES[training.optimizer],
        tables,
        weight_decay=training.weight_decay,
        momentum=training.momentum,
        l2=training.embedding_l2,
        gathers=training.accumulate > 1,
    )


def seed_everything(seed: int) -> None:
    """Fixes what is drawn outside our own seeds, and the order of reductions, on one machine."""
    # Not Keras' set_random_seed: from then on its layers draw seeds in a way that Python 3.12 refuses.
    drawn = derive(seed, "global")
    random.seed(drawn)
    np.random.seed(drawn)
    tf.random.set_seed(drawn)
    tf.config.experimental.enable_op_determinism()


def _with_history(schema: Schema, length: Optional[int]) -> Schema:
    """The schema with its sequences cut to this many of the newest cells. UsageError where none is that long."""
    if length is None:
        return schema
    longest = max((f.maximum_length for f in schema.features if isinstance(f, Sequence)), default=0)
    if length > longest:
        raise UsageError(
            f"history_length is {length}, but the longest history of schema {schema.name!r} has {longest} cells; "
            f"prepare the data with --maximum-history {length}, or set it lower"
        )
    cut = (
        f.model_copy(update={"maximum_length": min(length, f.maximum_length)}) if isinstance(f, Sequence) else f
        for f in schema.features
    )
    return schema.model_copy(update={"features": tuple(cut)})


def _checked_tasks(experiment: Experiment, spec: ModelSpec, schema: Schema) -> Tuple[str, ...]:
    for name in experiment.tasks:
        task = schema.task(name)
        if task.kind not in spec.task_kinds:
            raise UsageError(
                f"task {name!r} is {task.kind}, but {experiment.model} learns {' and '.join(spec.task_kinds)}; "
                f"choose another task of schema {schema.name!r}"
            )
    return experiment.tasks
