"""Lazy updates against the dense rule in numpy: equal on the rows that are touched, still on the others."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from pipeline.row_updates import RULES, RowGradient, RowUpdates, distinct

RATE, DECAY, MOMENTUM = 0.1, 0.01, 0.9
Row = Tuple[float, Tuple[float, ...]]


def adam(t: int, w: float, g: float, slots: Tuple[float, ...]) -> Row:
    """Kingma and Ba 2015, algorithm 1, in the form of its section 2: the step size corrected, epsilon outside."""
    m = 0.9 * slots[0] + 0.1 * g
    v = 0.999 * slots[1] + 0.001 * g * g
    return w - RATE * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-7), (m, v)


def adamw(t: int, w: float, g: float, slots: Tuple[float, ...]) -> Row:
    return adam(t, w - RATE * DECAY * w, g, slots)


def adagrad(t: int, w: float, g: float, slots: Tuple[float, ...]) -> Row:
    total = slots[0] + g * g
    return w - RATE * g / np.sqrt(total + 1e-7), (total,)


def sgd(t: int, w: float, g: float, slots: Tuple[float, ...]) -> Row:
    velocity = MOMENTUM * slots[0] - RATE * g
    return w + velocity, (velocity,)


REFERENCE: Dict[str, Tuple[Callable[..., Row], Tuple[float, ...]]] = {
    "adam": (adam, (0.0, 0.0)),
    "adamw": (adamw, (0.0, 0.0)),
    "adagrad": (adagrad, (0.1,)),
    "sgd": (sgd, (0.0,)),
}
START = np.array([[1.0, -2.0], [0.5, 0.25], [3.0, -1.0], [-0.5, 2.0]])
# Row 1 is touched first in step 3; row 2 twice in one batch, then again after a pause; row 3 never.
BATCHES: List[Tuple[List[int], List[List[float]]]] = [
    ([2, 0, 2], [[1.0, 2.0], [-1.0, 0.5], [0.5, -4.0]]),
    ([0], [[2.0, 2.0]]),
    ([1, 2], [[-3.0, 1.0], [0.25, 0.5]]),
]


def updates(name: str, table: tf.Variable, **options: Any) -> RowUpdates:
    return RowUpdates(RULES[name], [table], weight_decay=DECAY, momentum=MOMENTUM, **options)


def slices(rows: List[int], values: List[List[float]]) -> tf.IndexedSlices:
    return tf.IndexedSlices(tf.constant(values), tf.constant(rows), tf.constant([4, 2]))


def steps(name: str, table: tf.Variable) -> None:
    made = updates(name, table)
    for number, batch in enumerate(BATCHES, start=1):
        made.apply([distinct(slices(*batch))], tf.constant(number, tf.int64), tf.constant(RATE))


@pytest.mark.parametrize("name", sorted(RULES))
def test_touched_rows_follow_the_dense_rule_and_others_rest(name: str) -> None:
    table = tf.Variable(START, dtype=tf.float32)
    steps(name, table)
    rule, start = REFERENCE[name]
    expected = START.copy()
    slots = {(row, cell): start for row in range(4) for cell in range(2)}
    for number, (rows, values) in enumerate(BATCHES, start=1):
        for row in set(rows):
            total = np.sum([value for at, value in zip(rows, values) if at == row], axis=0)
            for cell in range(2):
                expected[row, cell], slots[row, cell] = rule(number, expected[row, cell], total[cell], slots[row, cell])
    np.testing.assert_allclose(table.numpy(), expected, rtol=2e-6)
    np.testing.assert_array_equal(table.numpy()[3], START[3].astype(np.float32))


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        ("adam", lambda: keras.optimizers.Adam(RATE)),
        ("adamw", lambda: keras.optimizers.AdamW(RATE, weight_decay=DECAY)),
        ("adagrad", lambda: keras.optimizers.Adagrad(RATE)),
        ("sgd", lambda: keras.optimizers.SGD(RATE, momentum=MOMENTUM)),
    ],
)
def test_it_is_the_optimizer_of_keras_when_every_row_is_touched(name: str, optimizer: Callable[[], Any]) -> None:
    lazy, dense = (tf.Variable(START, dtype=tf.float32) for _ in range(2))
    made, peer = updates(name, lazy), optimizer()
    for number in range(1, 5):
        gradient = tf.random.stateless_normal([4, 2], seed=[number, 7])
        made.apply([RowGradient(tf.range(4), gradient)], peer.iterations + 1, peer.learning_rate)
        peer.apply_gradients([(gradient, dense)])
    np.testing.assert_allclose(lazy.numpy(), dense.numpy(), rtol=2e-6, atol=1e-7)


def test_l2_is_on_the_rows_of_the_batch_once_each() -> None:
    table = tf.Variable(START, dtype=tf.float32)
    found = updates("sgd", table, l2=0.5).regularised(0, distinct(slices([2, 2], [[1.0, 0.0], [1.0, 0.0]])))
    # 1 + 1 of the loss, and 0.5 times the row [3, -1].
    np.testing.assert_allclose(found.values.numpy(), [[3.5, -0.5]])
    assert found.rows.numpy().tolist() == [2]


def test_gathered_gradients_are_the_sum_over_batches_and_start_anew() -> None:
    table = tf.Variable(START, dtype=tf.float32)
    made = updates("sgd", table, gathers=True)
    for rows, values in BATCHES[:2]:
        made.gather([distinct(slices(rows, values))], 0.5)
    (found,) = made.gathered()
    assert found.rows.numpy().tolist() == [0, 2]
    # Row 0: (-1 + 2, 0.5 + 2) / 2; row 2: (1 + 0.5, 2 - 4) / 2.
    np.testing.assert_allclose(found.values.numpy(), [[0.5, 1.25], [0.75, -1.0]])
    assert made.gathered()[0].rows.shape[0] == 0
    made.gather([distinct(slices([0], [[1.0, 1.0]]))], 1.0)
    np.testing.assert_allclose(made.gathered()[0].values.numpy(), [[1.0, 1.0]])
