"""The builder's second product: signatures from raw features to predictions. No label, mask or weight is in scope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

import numpy as np
import tensorflow as tf

from pipeline import retrieval
from pipeline.builder import Built
from pipeline.encoding import Tensors
from pipeline.items import ItemTable
from pipeline.schema import Column
from signatures.manifest import Signature, TensorInfo

Function = Callable[[Mapping[str, tf.Tensor]], Tensors]

_KINDS = {
    "serving_default": "score",
    "rank": "rank",
    "user_embedding": "embedding",
    "item_embedding": "embedding",
    "retrieve": "retrieve",
    "next_items": "retrieve",
}


@dataclass(frozen=True)
class InferenceSignature:
    """One served function: raw columns in, named row-aligned float32 or ids out."""

    name: str
    inputs: Dict[str, TensorInfo]
    outputs: Dict[str, TensorInfo]
    kind: Any
    function: Function
    batchable: bool = True

    def trace(self) -> Any:
        """The concrete function, with the inputs as keyword arguments of their names."""
        specs = {name: tensor_spec(name, info) for name, info in self.inputs.items()}

        def serve(**raw: tf.Tensor) -> Tensors:
            answers = self.function(raw)
            return {name: tf.identity(answers[name], name=name) for name in self.outputs}

        serve.__name__ = self.name
        return tf.function(serve, autograph=False).get_concrete_function(**specs)

    def described(self) -> Signature:
        return Signature(inputs=self.inputs, outputs=self.outputs, kind=self.kind, batchable=self.batchable)


def signatures(built: Built, items: Optional[ItemTable]) -> Tuple[InferenceSignature, ...]:
    """All signatures that the model's specification names. `items` is the catalogue, where one is retrieved from."""
    makers = {
        "serving_default": _pointwise,
        "rank": _rank,
        "user_embedding": _user_embedding,
        "item_embedding": _item_embedding,
    }
    made = [makers[name](built) for name in built.spec.signatures if name in makers]
    wanted = [name for name in built.spec.signatures if name not in makers]
    if wanted and items is not None:
        catalogue = catalogue_of(built, items)
        made += [_top_items(built, name, catalogue) for name in wanted]
    return tuple(made)


def predictions(built: Built, encoded: Tensors) -> Tensors:
    """{task: what is served}, float32 [B], of encoded features: the one place where logits become answers."""
    return answers(built, built.model(encoded, training=False))


def answers(built: Built, logits: Mapping[str, tf.Tensor]) -> Tensors:
    """Logits to scores, float32: a probability, or the logit itself for a similarity. A lone task is named `score`."""
    scores = {
        task: tf.sigmoid(tf.cast(z, tf.float32)) if built.spec.score == "probability" else tf.cast(z, tf.float32)
        for task, z in logits.items()
    }
    return scores if len(scores) > 1 else {"score": next(iter(scores.values()))}


def output_names(built: Built) -> Tuple[str, ...]:
    names = tuple(task.name for task in built.schema.tasks)
    return names if len(names) > 1 else ("score",)


def _pointwise(built: Built) -> InferenceSignature:
    def score(raw: Mapping[str, tf.Tensor]) -> Tensors:
        return predictions(built, built.encoder(raw))

    outputs = {name: _output((None,)) for name in output_names(built)}
    return _signature("serving_default", inputs_of(built.schema.columns()), outputs, score)


def _rank(built: Built) -> InferenceSignature:
    user_columns = columns_of(built, ("user", "context"))
    item_columns = columns_of(built, ("item", "cross"))

    def rank(raw: Mapping[str, tf.Tensor]) -> Tensors:
        encoded = built.encoder(raw)
        user, item = ({c.name: encoded[c.name] for c in columns} for columns in (user_columns, item_columns))
        return answers(built, built.model.rank(user, item))

    inputs = {**inputs_of(user_columns), **inputs_of(item_columns, candidates=True)}
    return _signature("rank", inputs, {name: _output((None, None)) for name in output_names(built)}, rank)


def _user_embedding(built: Built) -> InferenceSignature:
    def embed(raw: Mapping[str, tf.Tensor]) -> Tensors:
        return {"embedding": tf.cast(built.model.user_embedding(built.encoder(raw)), tf.float32)}

    inputs = inputs_of(columns_of(built, ("user", "context")))
    return _signature("user_embedding", inputs, {"embedding": _output((None, width_of(built)))}, embed)


def _item_embedding(built: Built) -> InferenceSignature:
    def embed(raw: Mapping[str, tf.Tensor]) -> Tensors:
        return {"embedding": tf.cast(built.model.item_embedding(built.encoder(raw)), tf.float32)}

    inputs = inputs_of(columns_of(built, ("item", "cross")))
    return _signature("item_embedding", inputs, {"embedding": _output((None, width_of(built)))}, embed)


def _top_items(built: Built, name: str, catalogue: retrieval.Catalogue) -> InferenceSignature:
    """`retrieve` and, for sequence models, `next_items`, which can leave out what is in the history itself."""
    item = built.schema.feature(str(built.schema.roles.item))
    user_columns = columns_of(built, ("user", "context"))
    history = _history_of(built) if name == "next_items" else None

    def top(raw: Mapping[str, tf.Tensor]) -> Tensors:
        user = built.model.user_embedding(built.encoder({c.name: raw[c.name] for c in user_columns}))
        barred = catalogue.barred(raw["exclude"], raw["exclude_length"])
        if history is not None:
            seen = catalogue.barred(raw[history], raw[f"{history}_length"])
            barred = tf.logical_or(barred, tf.logical_and(seen, raw["exclude_seen"][:, tf.newaxis]))
        ids, scores = catalogue.top(tf.cast(user, tf.float32), raw["k"], barred)
        return {item.name: ids, "score": scores}

    inputs = inputs_of(user_columns)
    inputs["k"] = TensorInfo(dtype="int32", shape=(None,), role="request")
    inputs["exclude"] = TensorInfo(dtype=item.dtype, shape=(None, None), role="request", length="exclude_length")
    inputs["exclude_length"] = TensorInfo(dtype="int64", shape=(None,), role="length")
    if history is not None:
        inputs["exclude_seen"] = TensorInfo(dtype="bool", shape=(None,), role="request")
    outputs = {item.name: _output((None, None), item.dtype), "score": _output((None, None))}
    return _signature(name, inputs, outputs, top)


def catalogue_of(built: Built, items: ItemTable) -> retrieval.Catalogue:
    """The vectors of every item, computed once from the trained item side."""
    columns = columns_of(built, ("item", "cross"))

    @tf.function(autograph=False, reduce_retracing=True)
    def embed(raw: Mapping[str, tf.Tensor]) -> tf.Tensor:
        return tf.cast(built.model.item_embedding(built.encoder(raw)), tf.float32)

    parts = []
    for start in range(0, len(items.ids), 4096):
        rows = items.take(np.arange(start, min(start + 4096, len(items.ids))))
        parts.append(embed({c.name: tf.constant(rows[c.name], tf_dtype(c.dtype)) for c in columns}).numpy())
    return retrieval.Catalogue(items.ids, np.concatenate(parts))


def _history_of(built: Built) -> str:
    """The sequence of the items themselves."""
    names = [f.name for f in built.schema.features if getattr(f, "shares", None) == built.schema.roles.item]
    return str(names[0])


def width_of(built: Built) -> int:
    """Coordinates of an embedding, from the user side of no user at all."""
    nobody = {
        c.name: tf.zeros([0, *(axis or 0 for axis in c.shape)], tf_dtype(c.dtype))
        for c in columns_of(built, ("user", "context"))
    }
    return int(built.model.user_embedding(built.encoder(nobody)).shape[-1])


def columns_of(built: Built, sides: Tuple[str, ...]) -> Tuple[Column, ...]:
    return tuple(column for f in built.schema.features if f.side in sides for column in f.columns())


def inputs_of(columns: Tuple[Column, ...], candidates: bool = False) -> Dict[str, TensorInfo]:
    """Wire inputs of raw columns: [B, ...], or [B, N, ...] for candidates."""
    front: Tuple[Optional[int], ...] = (None, None) if candidates else (None,)
    return {
        column.name: TensorInfo(
            dtype=column.dtype,
            shape=(*front, *column.shape),
            role=column.role,
            length=column.length,
            maximum_length=column.maximum_length,
        )
        for column in columns
    }


def tensor_spec(name: str, info: TensorInfo) -> tf.TensorSpec:
    return tf.TensorSpec(info.shape, tf_dtype(info.dtype), name=name)


def tf_dtype(name: str) -> tf.DType:
    return tf.as_dtype(name)


def _output(shape: Tuple[Optional[int], ...], dtype: Any = "float32") -> TensorInfo:
    return TensorInfo(dtype=dtype, shape=shape, role="output")


def _signature(
    name: str, inputs: Dict[str, TensorInfo], outputs: Dict[str, TensorInfo], function: Function
) -> InferenceSignature:
    return InferenceSignature(name, inputs, outputs, _KINDS[name], function)
