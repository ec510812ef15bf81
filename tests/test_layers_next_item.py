"""Losses of the next item: values by hand, draws that keep their promises, and where there is nothing to predict."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, List, Tuple

import numpy as np
import pytest
import tensorflow as tf

from pipeline.layers.next_item import NextItemConfig, NextItemLoss, beta, binary_loss, next_items, softmax_loss

FIRST, ROWS = 2, 8


def layer(seed: int = 3, first: int = FIRST, rows: int = ROWS, **config: Any) -> NextItemLoss:
    return NextItemLoss(NextItemConfig(**config), first, rows, seed=seed)


def zeros(ids: tf.Tensor) -> tf.Tensor:
    return tf.zeros([*ids.shape, 4])


def drawn(made: NextItemLoss, targets: List[List[int]], training: bool = True) -> Tuple[np.ndarray, np.ndarray]:
    """The losses, and all ids that were looked up as candidates, in one call."""
    asked = []

    def vectors(ids: tf.Tensor) -> tf.Tensor:
        asked.append(ids.numpy())
        return zeros(ids)

    shape = (*np.shape(targets), 4)
    losses = made(tf.zeros(shape), tf.constant(targets), vectors, training).numpy()
    return losses, asked[-1]


def test_what_comes_after_each_cell() -> None:
    found = next_items(
        tf.constant([[5, 6, 7, 0], [4, 0, 0, 0], [0, 0, 0, 0]]), tf.constant([3, 1, 0]), tf.constant([9, 8, 3])
    )
    assert found.numpy().tolist() == [[6, 7, 9, 0], [8, 0, 0, 0], [0, 0, 0, 0]]


def test_binary_loss_by_hand() -> None:
    # Scores 0: log 2 for the target and for each negative.
    assert float(binary_loss(tf.zeros([2]), 1.0)) == pytest.approx(2 * math.log(2))
    # s(log 3) = 3/4: -0.5 log 3/4 - log(1 - 3/4) - log(1 - 1/2)
    found = float(binary_loss(tf.constant([math.log(3), math.log(3), 0.0]), 0.5))
    assert found == pytest.approx(0.5 * math.log(4 / 3) + math.log(4) + math.log(2))


def test_beta_runs_from_one_to_the_sampling_rate() -> None:
    # 4 of 100 others: alpha 0.04. t = 0.75: 0.04 (0.75 (1 - 25) + 25) = 0.04 x 7 = 0.28.
    assert [beta(4, 101, t) for t in (0.0, 0.75, 1.0)] == pytest.approx([1.0, 0.28, 0.04])


def test_calibration_weighs_the_target_alone() -> None:
    # Six items, two negatives: alpha 2/5 at t = 1. Scores 0: (2/5 + 2) log 2.
    losses, _ = drawn(layer(negatives=2, calibration=1.0), [[3]])
    assert losses[0, 0] == pytest.approx(2.4 * math.log(2), rel=1e-6)


def test_softmax_loss_by_hand() -> None:
    # e / (e + 1 + 1) with two negatives, e / (e + 1) where the second does not count.
    args = tf.constant([1.0, 1.0]), tf.zeros([2, 2]), tf.constant([[True, True], [True, False]])
    np.testing.assert_allclose(softmax_loss(*args), [math.log(math.e + 2) - 1, math.log(math.e + 1) - 1], rtol=1e-6)


def test_with_nothing_to_tell_apart_the_softmax_is_certain() -> None:
    assert float(softmax_loss(tf.constant(3.0), tf.constant([7.0]), tf.constant([False]))) == 0.0


def test_sampled_softmax_of_all_items_is_the_full_one() -> None:
    generator = np.random.default_rng(1)
    states, table = generator.normal(size=(2, 3, 4)), generator.normal(size=(ROWS, 4))
    targets = tf.constant([[2, 3, 7], [5, 5, 6]])
    logits = np.einsum("bld,nd->bln", states, table[FIRST:]).astype("float32")
    positive = tf.gather(logits, targets - FIRST, batch_dims=2)
    counts = tf.range(FIRST, ROWS) != targets[..., tf.newaxis]
    full = layer(loss="full_softmax")(
        tf.constant(states), targets, lambda ids: tf.gather(tf.constant(table), ids), True
    )
    np.testing.assert_allclose(softmax_loss(positive, tf.constant(logits), counts), full, rtol=1e-5)


def test_full_softmax_is_over_items_only() -> None:
    # Six items of equal score: log 6, whatever rows 0 and 1 hold.
    losses, asked = drawn(layer(loss="full_softmax"), [[2, 7]])
    np.testing.assert_allclose(losses, [[math.log(6)] * 2], rtol=1e-6)
    assert asked.tolist() == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("loss", ["bce", "sampled_softmax", "full_softmax"])
def test_what_is_no_item_has_no_loss(loss: str) -> None:
    losses, _ = drawn(layer(loss=loss), [[0, 1, 2]])
    assert losses[0, :2].tolist() == [0.0, 0.0] and losses[0, 2] > 0


def test_negatives_are_uniform_over_all_items_but_the_target() -> None:
    _, asked = drawn(layer(negatives=12_000), [[2, 5, 7]])
    for position, target in enumerate((2, 5, 7)):
        assert asked[0, position, 0] == target
        counts = np.bincount(asked[0, position, 1:], minlength=ROWS)
        others = [item for item in range(FIRST, ROWS) if item != target]
        assert counts[[0, 1, target]].tolist() == [0, 0, 0]
        # 2,400 expected of each of five, deviation 44: five of them.
        assert all(abs(counts[item] - 2400) < 220 for item in others)


def test_shared_negatives_are_uniform_over_all_items() -> None:
    made = layer(loss="sampled_softmax", shared_negatives=12_000)
    losses, asked = drawn(made, [[2, 5]])
    counts = np.bincount(asked, minlength=ROWS)
    assert asked.shape == (12_000,) and counts[:FIRST].tolist() == [0, 0]
    assert all(abs(count - 2000) < 210 for count in counts[FIRST:])
    # Scores 0: log(1 + the draws that are not the target itself).
    np.testing.assert_allclose(losses[0], np.log(1 + 12_000 - counts[[2, 5]]), rtol=1e-5)


def test_each_step_of_training_draws_anew_and_measuring_draws_the_same() -> None:
    made = layer(negatives=50)
    steps = [drawn(made, [[2, 3]])[1].tolist() for _ in range(2)]
    measured = [drawn(made, [[2, 3]], training=False)[1].tolist() for _ in range(2)]
    assert steps[0] != steps[1] and measured[0] == measured[1]


def test_measuring_does_not_move_the_draws_of_training() -> None:
    one, other = layer(negatives=50), layer(negatives=50)
    drawn(other, [[2, 3]], training=False)
    assert drawn(one, [[2, 3]])[1].tolist() == drawn(other, [[2, 3]])[1].tolist()


def test_a_checkpoint_restores_the_draws(tmp_path: Path) -> None:
    one = layer(negatives=50)
    drawn(one, [[2, 3]])
    path = tf.train.Checkpoint(loss=one).write(str(tmp_path / "checkpoint"))
    expected = drawn(one, [[2, 3]])[1].tolist()
    resumed = layer(negatives=50, seed=3)
    tf.train.Checkpoint(loss=resumed).read(path).assert_consumed()
    assert drawn(resumed, [[2, 3]])[1].tolist() == expected


def test_one_item_is_not_enough() -> None:
    with pytest.raises(ValueError, match="needs at least 2 items to choose from. Received: 1"):
        layer(rows=FIRST + 1)
