"""DeepCTR's models, as its documentation builds, trains and exports them. Runs where Signet is not installed."""

from __future__ import annotations

import importlib
from typing import Any, Dict, List, Tuple

import numpy as np
import requests
import tensorflow as tf

from tests.benchmarks.peers import counting, data
from tests.benchmarks.peers.work import Settings, Work


def _deepctr(module: str) -> Any:
    """DeepCTR asks a package index for its newest version when it is imported; a benchmark asks nobody."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network in a benchmark")

    asked, requests.get = requests.get, refuse  # type: ignore[assignment]
    try:
        return importlib.import_module(f"deepctr.{module}")
    finally:
        requests.get = asked


def train_deepfm(settings: Settings) -> Work:
    """`fit` over batches in memory: tables by field, Keras' Adam, the default l2."""
    columns = _deepctr("feature_column")
    each, width = settings["rows"] // data.ID_FIELDS, settings["width"]
    fields = [columns.SparseFeat(f"id_{f}", each + 1, embedding_dim=width) for f in range(data.ID_FIELDS)]
    fields += [columns.DenseFeat(f"number_{f}", 1) for f in range(data.NUMBER_FIELDS)]
    model = _deepctr("models").DeepFM(fields, fields, dnn_hidden_units=tuple(settings["hidden"]))
    widths = [data.ID_FIELDS * width + data.NUMBER_FIELDS, *settings["hidden"], 1]
    gigaflop = counting.dense(settings["batch"], widths, counting.TRAINING)
    return _fitted(model, *data.criteo(settings["rows"], settings["batch"], settings["peer_steps"]), gigaflop)


def train_din(settings: Settings) -> Work:
    """`fit` over batches in memory; Dice with the statistics of the batch in the attention, as by default."""
    model = _din(settings, "int32")
    pairs, width = settings["batch"] * data.HISTORY, 2 * settings["width"]
    gigaflop = counting.dense(pairs, [4 * width, *settings["attention"], 1], counting.TRAINING)
    gigaflop += counting.dense(settings["batch"], [2 * width, *settings["hidden"], 1], counting.TRAINING)
    sizes = (settings["items"], settings["categories"], settings["batch"], settings["peer_steps"])
    return _fitted(model, *data.histories(*sizes), gigaflop)


def _fitted(model: Any, features: data.Arrays, labels: np.ndarray, gigaflop: float) -> Work:
    model.compile("adam", "binary_crossentropy")
    columns = {name: cells if cells.ndim == 3 else cells[..., np.newaxis] for name, cells in features.items()}
    batches = tf.data.Dataset.from_tensor_slices((columns, labels[..., np.newaxis]))

    def run() -> float:
        return float(model.fit(batches, verbose=0).history["loss"][-1])

    return Work(run, len(labels), {"gigaflop": gigaflop, "parameters": model.count_params()})


def rank_din(settings: Settings) -> Work:
    """The exported model, called with a row for each candidate, the history in each and padded to its maximum."""
    export_din(settings)
    pairs, width = settings["candidates"] * data.HISTORY, 2 * settings["width"]
    gigaflop = counting.dense(pairs, [4 * width, *settings["attention"], 1])
    gigaflop += counting.dense(settings["candidates"], [2 * width, *settings["hidden"], 1])
    return _called(settings, data.tiled_user(*(settings[name] for name in data.USER)), gigaflop)


def rank_deepfm(settings: Settings) -> Work:
    """The exported model, called with a row for each candidate."""
    export_deepfm(settings)
    widths = [data.ID_FIELDS * settings["width"], *settings["hidden"], 1]
    rows = data.tiled_user_fields(settings["rows"], settings["candidates"])
    return _called(settings, rows, counting.dense(settings["candidates"], widths))


def export_din(settings: Settings) -> Work:
    """Writes DIN as a SavedModel, its ids int64 on the wire as Signet's are. There is nothing to run."""
    return _exported(_din(settings, "int64"), settings)


def export_deepfm(settings: Settings) -> Work:
    """Writes DeepFM as a SavedModel. There is nothing to run."""
    columns, each = _deepctr("feature_column"), settings["rows"] // data.ID_FIELDS
    names = [f"{side}_{place}" for side in ("user", "item") for place in range(data.ID_FIELDS // 2)]
    fields = [columns.SparseFeat(n, each + 1, embedding_dim=settings["width"], dtype="int64") for n in names]
    return _exported(_deepctr("models").DeepFM(fields, fields, dnn_hidden_units=tuple(settings["hidden"])), settings)


def _din(settings: Settings, dtype: str) -> Any:
    columns = _deepctr("feature_column")
    sizes = {"item_id": settings["items"] + 1, "category_id": settings["categories"] + 1}
    found: List[Any] = [
        columns.SparseFeat(name, rows, embedding_dim=settings["width"], dtype=dtype) for name, rows in sizes.items()
    ]
    for name, rows in sizes.items():
        cells = columns.SparseFeat(
            f"hist_{name}", rows, embedding_dim=settings["width"], embedding_name=name, dtype=dtype
        )
        found.append(columns.VarLenSparseFeat(cells, maxlen=data.HISTORY, length_name="hist_length"))
    return _deepctr("models").DIN(
        found, list(sizes), dnn_hidden_units=tuple(settings["hidden"]), att_hidden_size=tuple(settings["attention"])
    )


def _exported(model: Any, settings: Settings) -> Work:
    tf.saved_model.save(model, settings["peer_export"])
    return Work(lambda: 0.0, 1, {"parameters": model.count_params()})


def _called(settings: Settings, rows: data.Arrays, gigaflop: float) -> Work:
    function = tf.saved_model.load(settings["peer_export"]).signatures["serving_default"]
    tensors: Dict[str, tf.Tensor] = {name: tf.constant(cells) for name, cells in rows.items()}

    def call() -> np.ndarray:
        (scores,) = (answer.numpy() for answer in function(**tensors).values())
        return scores

    return Work(*repeated(call, settings["calls"]), {"gigaflop": gigaflop})


def repeated(call: Any, times: int) -> Tuple[Any, int]:
    """A round of so many calls, each with its answer as a numpy array; the round's value is the last sum."""

    def run() -> float:
        for _ in range(times):
            answer = call()
        return float(np.sum(answer))

    return run, times
