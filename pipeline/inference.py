"""The builder's second product: signatures from raw features to predictions. No label, mask or weight is in scope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

import numpy as np
import tensorflow as tf

from pipeline import rank_items
from pipeline.builder import Built
from pipeline.encoding import Tensors
from pipeline.items import ItemTable
from pipeline.retrieval.catalogue import Catalogue, Identities, Index
from pipeline.retrieval.choice import index_of, lists_of
from pipeline.rows import Rows
from pipeline.schema import Column
from pipeline.seeds import derive
from signatures.errors import UsageError
from signatures.manifest import Signature, TensorInfo

Function = Callable[[Mapping[str, tf.Tensor]], Tensors]

_KINDS = {
    "serving_default": "score",
    "rank": "rank",
    "rank_items": "rank",
    "user_embedding": "embedding",
    "item_embedding": "embedding",
    "retrieve": "retrieve",
    "retrieve_scann": "retrieve",
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


def signatures(
    built: Built, items: Optional[ItemTable], catalogues: Optional[Mapping[str, Catalogue]] = None
) -> Tuple[InferenceSignature, ...]:
    """All signatures that the model's specification names. `items` is the catalogue, where one is retrieved from;
    `catalogues` are those of `catalogues_of`, where they are made already.
    """
    makers = {
        "serving_default": _pointwise,
        "rank": _rank,
        "user_embedding": _user_embedding,
        "item_embedding": _item_embedding,
    }
    made = [makers[name](built) for name in built.spec.signatures if name in makers]
    if items is not None:
        if "rank" in built.spec.signatures and rank_items.item_of(built.schema) is not None:
            made.append(_rank_items(built, items))
        searched = catalogues_of(built, items) if catalogues is None else catalogues
        made += [_top_items(built, name, catalogue) for name, catalogue in searched.items()]
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


def _rank_items(built: Built, items: ItemTable) -> InferenceSignature:
    """`rank` of candidates that come as ids alone."""
    item, held = built.schema.feature(str(built.schema.roles.item)), rank_items.HeldItems(built, items)
    user_columns = columns_of(built, ("user", "context"))

    def rank(raw: Mapping[str, tf.Tensor]) -> Tensors:
        user = built.encoder({c.name: raw[c.name] for c in user_columns})
        return answers(built, held.rank(user, raw[item.name]))

    inputs = {**inputs_of(user_columns), **inputs_of(item.columns(), candidates=True)}
    return _signature("rank_items", inputs, {name: _output((None, None)) for name in output_names(built)}, rank)


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


def _top_items(built: Built, name: str, catalogue: Catalogue) -> InferenceSignature:
    """`retrieve` and, for sequence models, `next_items`, which can leave out what is in the history itself."""
    item = built.schema.feature(str(built.schema.roles.item))
    user_columns = columns_of(built, ("user", "context"))
    history = _history_of(built) if name == "next_items" else None

    def top(raw: Mapping[str, tf.Tensor]) -> Tensors:
        user = built.model.user_embedding(built.encoder({c.name: raw[c.name] for c in user_columns}))
        places = catalogue.identities.places
        barred = places(raw["exclude"], raw["exclude_length"])
        if history is not None:
            wanted = tf.where(raw["exclude_seen"], raw[f"{history}_length"], 0)
            barred = tf.concat([barred, places(raw[history], wanted)], axis=1)
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


def catalogues_of(
    built: Built, items: ItemTable, vectors: Optional[np.ndarray] = None, users: Optional[np.ndarray] = None
) -> Dict[str, Catalogue]:
    """By the name of each signature that retrieves, what it searches; empty for a model that does not.

    `vectors` are those of `item_vectors`, computed unless given. `users` [U, d], where given, decide how much of an
    inverted file is searched. Raises UsageError for an index that cannot be made.
    """
    wanted, names = built.experiment.retrieval, retrieving(built)
    if not names:
        return {}
    found = item_vectors(built, items) if vectors is None else vectors
    identities = Identities(items.ids)
    ordered = found[identities.order]
    index = index_of(wanted, ordered, derive(built.experiment.seed, "lists"), users)
    indexes: Dict[str, Index] = {name: index for name in names if name != "retrieve_scann"}
    if "retrieve_scann" in names:
        from pipeline.retrieval.scann_index import ScannIndex

        indexes["retrieve_scann"] = ScannIndex(ordered, lists_of(wanted, len(ordered)))
    return {name: Catalogue(identities, indexes[name]) for name in names}


def retrieving(built: Built) -> Tuple[str, ...]:
    """The signatures that search a catalogue. Raises UsageError for ScaNN where the model retrieves by no vector."""
    names = tuple(name for name in built.spec.signatures if _KINDS[name] == "retrieve")
    if not built.experiment.retrieval.scann:
        return names
    if "retrieve" not in names:
        raise UsageError(
            f"retrieval.scann is true, but {built.experiment.model} has no signature 'retrieve' for ScaNN to answer; "
            "leave it out"
        )
    return (*names, "retrieve_scann")


def item_vectors(built: Built, items: ItemTable) -> np.ndarray:
    """The vectors of every item, float32 [M, d], computed once from the trained item side."""
    columns = columns_of(built, ("item", "cross"))

    @tf.function(autograph=False, reduce_retracing=True)
    def embed(raw: Mapping[str, tf.Tensor]) -> tf.Tensor:
        return tf.cast(built.model.item_embedding(built.encoder(raw)), tf.float32)

    parts = []
    for start in range(0, len(items.ids), 4096):
        rows = items.take(np.arange(start, min(start + 4096, len(items.ids))))
        parts.append(embed({c.name: tf.constant(rows[c.name], tf_dtype(c.dtype)) for c in columns}).numpy())
    return np.concatenate(parts)


def user_vectors(built: Built, rows: Rows) -> np.ndarray:
    """The vectors of users of raw rows, float32 [U, d]."""
    columns = columns_of(built, ("user", "context"))
    raw = {c.name: tf.constant(rows[c.name], tf_dtype(c.dtype)) for c in columns}
    vectors: np.ndarray = tf.cast(built.model.user_embedding(built.encoder(raw)), tf.float32).numpy()
    return vectors


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
