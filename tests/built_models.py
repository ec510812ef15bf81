"""Every registered model, built small on the tiny data set: for tests that hold for all of them and name none."""

from __future__ import annotations

from typing import Any, Dict, Sequence

from pipeline import experiment as experiments
from pipeline.batches import TrainingBatch
from pipeline.builder import Built, build
from pipeline.dataset import training_batches
from pipeline.models import registry
from pipeline.prepared import Prepared


def experiment(model: str, training: Sequence[str] = (), **data: Any) -> experiments.Experiment:
    """The model's own experiment, without what is drawn at random in training. `training`: overrides of that part."""
    known = registry.load(model).config.model_fields
    quiet = [f"parameters.{name}=0.0" for name in known if "dropout" in name]
    quiet += ["parameters.loss=full_softmax"] if "loss" in known else []
    settings = [f"data.{name}={value}" for name, value in {"batch_size": 64, **data}.items()]
    settings += [f"training.{each}" for each in training]
    return experiments.load(model, overrides=[*quiet, *settings])


def built(model: str, prepared: Prepared, training: Sequence[str] = ()) -> Built:
    """The model with all its variables made, untrained."""
    made = build(experiment(model, training), prepared)
    made.graph.prepare(batch(made, prepared))
    return made


def batch(made: Built, prepared: Prepared, epoch: int = 0) -> TrainingBatch:
    """The first training batch of an epoch, 64 examples."""
    plan = made.experiment.data
    data = training_batches(
        prepared, made.encoder, made.schema, made.spec.rows, plan, made.experiment.seed, epoch=epoch
    )
    return next(iter(data))


def rows_of(tensors: Dict[str, Any], index: Any) -> Dict[str, Any]:
    """The rows of a dict of tensors at these positions."""
    import tensorflow as tf

    return {name: tf.gather(tensor, index) for name, tensor in tensors.items()}


def take(whole: TrainingBatch, index: Any) -> TrainingBatch:
    return TrainingBatch(*(rows_of(part, index) for part in whole))
