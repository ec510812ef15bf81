"""tensorflow-recommenders' own ways: its retrieval task, and its index layers. Runs where Signet is not installed."""

from __future__ import annotations

from typing import Any, Callable, Dict, Tuple

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from tests.benchmarks.peers import counting, data
from tests.benchmarks.peers.work import Settings, Work

TEMPERATURE = 0.1
TOP = 100
RECALLED, RECALLED_AT_ONCE = 128, 32
"""Queries that recall is measured with."""
Answer = Callable[[tf.Tensor], Tuple[np.ndarray, np.ndarray]]
"""Queries [B, d] to the scores and the positions of the best items, both [B, TOP]."""


class Tower(keras.Model):
    """Embedded features to one vector of length 1."""

    def __init__(self, rows: Dict[str, int], settings: Settings) -> None:
        super().__init__()
        self._names = list(rows)
        self._tables = [keras.layers.Embedding(count + 1, settings["width"]) for count in rows.values()]
        hidden = [keras.layers.Dense(units, activation="relu") for units in settings["hidden"]]
        self._layers_after = keras.Sequential([*hidden, keras.layers.Dense(settings["output"])])

    def call(self, features: Dict[str, tf.Tensor]) -> tf.Tensor:
        found = [table(features[name]) for name, table in zip(self._names, self._tables)]
        return tf.math.l2_normalize(self._layers_after(tf.concat(found, axis=-1)), axis=-1)


class TwoTower(tfrs.Model):
    """As in the tutorials: two towers and the retrieval task, without its metrics, which cost more than the step."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._user = Tower({"user_id": settings["users"], "occupation": 21}, settings)
        self._item = Tower({"item_id": settings["items"], "year": 71}, settings)
        self._task = tfrs.tasks.Retrieval(temperature=TEMPERATURE, remove_accidental_hits=True)

    def compute_loss(self, features: Dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        user, item = self._user(features), self._item(features)
        return self._task(user, item, candidate_ids=features["item_id"], compute_metrics=False)


def train_two_tower(settings: Settings) -> Work:
    """`fit` over batches in memory, Keras' Adam."""
    model = TwoTower(settings)
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    films = data.films(settings["users"], settings["items"], settings["batch"], settings["peer_steps"])
    batches = tf.data.Dataset.from_tensor_slices(films)

    def run() -> float:
        return float(model.fit(batches, verbose=0).history["loss"][-1])

    return Work(run, settings["peer_steps"], {"gigaflop": two_towers(settings)})


def two_towers(settings: Settings) -> float:
    """Gigaflop of a training step: both towers, and every user of the batch with every item of it."""
    batch = settings["batch"]
    towers = 2 * counting.dense(
        batch, [2 * settings["width"], *settings["hidden"], settings["output"]], counting.TRAINING
    )
    return towers + counting.dense(batch, [settings["output"], batch], counting.TRAINING)


def brute_force(settings: Settings) -> Work:
    """The layer that compares a query with every item."""
    layer = tfrs.layers.factorized_top_k.BruteForce(k=TOP)
    layer.index(tf.constant(items(settings)))
    return _asked(layer, settings, every_item(settings))


def every_item(settings: Settings) -> Dict[str, float]:
    """What must be read and multiplied to score all items."""
    numbers = settings["items"] * settings["width"]
    return {"gigabytes": 4e-9 * numbers, "gigaflop": 2e-9 * settings["queries"] * numbers}


def scann(settings: Settings) -> Work:
    """The layer around ScaNN: 1,000 leaves of which 100 are read, 1,500 items compared exactly."""
    layer = tfrs.layers.factorized_top_k.ScaNN(
        k=TOP, num_leaves=1000, num_leaves_to_search=100, num_reordering_candidates=1500
    )
    layer.index(tf.constant(items(settings)))
    return _asked(layer, settings, {})


def items(settings: Settings) -> np.ndarray:
    """float32 [items, width]."""
    return data.vectors(settings["items"], settings["width"], seed=1)


def asked(settings: Settings, answer: Answer, facts: Dict[str, Any]) -> Work:
    """A round asks for the best of several batches of queries; recall is that of other queries."""
    drawn = data.vectors(settings["calls"] * settings["queries"], settings["width"], seed=2)
    waiting = [tf.constant(part) for part in np.split(drawn, settings["calls"])]
    others = data.vectors(RECALLED, settings["width"], seed=3)
    found = np.concatenate([answer(tf.constant(part))[1] for part in np.split(others, RECALLED // RECALLED_AT_ONCE)])

    def run() -> float:
        for each in waiting:
            scores, _ = answer(each)
        return float(scores.sum())

    return Work(run, len(waiting), {**facts, "recall": recall(others, items(settings), found)})


def _asked(layer: Any, settings: Settings, facts: Dict[str, Any]) -> Work:
    function = tf.function(lambda queries: layer(queries), reduce_retracing=True)

    def answer(queries: tf.Tensor) -> Tuple[np.ndarray, np.ndarray]:
        scores, places = function(queries)
        return scores.numpy(), places.numpy()

    return asked(settings, answer, facts)


def recall(queries: np.ndarray, vectors: np.ndarray, places: np.ndarray) -> float:
    """Share of the true best [Q, TOP] of queries [Q, d] among vectors [M, d] that is in places [Q, TOP]."""
    truth = [np.argpartition(-(vectors @ query), TOP)[:TOP] for query in queries]
    return float(np.mean([len(set(told) & set(true)) / TOP for told, true in zip(places.tolist(), map(list, truth))]))
