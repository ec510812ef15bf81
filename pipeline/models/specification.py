"""What a model file tells the rest: a plain record, so that nothing elsewhere needs a special case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, Literal, Protocol, Tuple, Type

import pydantic
import tensorflow as tf

from pipeline.batches import TrainingBatch
from pipeline.encoding import Tensors
from pipeline.schema import Schema

TrainingRows = Literal["pointwise", "positives", "windows"]
"""pointwise: positives and their negatives. positives: events that happened. windows: rows that tile each history."""


class Config(pydantic.BaseModel):
    """A model's parameters; an unknown key is an error."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Model(Protocol):
    """What every model does; it is a `tf_keras.Model` too. It is handed features and nothing else."""

    def __call__(self, features: Tensors, training: bool = False) -> Dict[str, tf.Tensor]:
        """Encoded features of B examples to {task: logits [B]}."""

    def rank(self, user: Tensors, item: Tensors) -> Dict[str, tf.Tensor]:
        """N candidates for each of B users: user and context features [B, ...], item and cross features [B, N, ...].

        Returns {task: logits [B, N]}, what `__call__` gives for every pair; user-only work is done once.
        """

    def item_parts(self, item: Tensors) -> Tensors:
        """All of `rank` that depends on the item alone: item and cross features [M, ...] to parts [M, ...], float.

        The parts of a catalogue are computed once, at export; with them, `rank_parts` is what is left to do.
        """

    def rank_parts(self, user: Tensors, parts: Tensors) -> Dict[str, tf.Tensor]:
        """`rank` for candidates whose parts [B, N, ...] are at hand."""

    def losses(self, batch: TrainingBatch, training: bool) -> Dict[str, tf.Tensor]:
        """{task: loss [B]} per example, unweighted, unmasked and unreduced."""


class Towers(Model, Protocol):
    """What a model does besides, when user and item meet only in a dot product."""

    def user_embedding(self, features: Tensors, training: bool = False) -> tf.Tensor:
        """User and context features [B, ...] to [B, d]."""

    def item_embedding(self, features: Tensors, training: bool = False) -> tf.Tensor:
        """Item features [...] to [..., d]; its dot product with the user's is the logit."""


@dataclass(frozen=True)
class ModelSpec:
    """One model. `SPEC` of every file in this package."""

    summary: str
    """One line for the table of models: what it is, with the paper."""
    config: Type[Config]
    build: Callable[..., Any]
    """`build(config, space, tasks, seed=…)` returns a `tf_keras.Model` that is a `Model`."""
    select: Callable[[Schema, Any], Tuple[Any, ...]]
    """`select(schema, config)`: the features it reads, each stripped of the columns that it does not read. What is left
    is an input of the server."""
    signatures: Tuple[str, ...]
    """Of serving_default, rank, user_embedding, item_embedding, retrieve, next_items."""
    rows: TrainingRows
    task_kinds: Tuple[str, ...] = ("binary",)
    score: Literal["probability", "similarity"] = "probability"
    """What the signatures answer: the sigmoid of the logit, or the logit itself where it is no log-odds."""
