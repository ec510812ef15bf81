"""The streaming estimate of how likely an id is to be in a batch, against gaps counted by hand."""

from __future__ import annotations

from typing import Iterable, List

import pytest
import tensorflow as tf

from pipeline.layers.frequency import LARGEST_GAP, Frequency

OTHER = 9


def run(batches: Iterable[List[int]], rate: float = 0.01) -> Frequency:
    frequency = Frequency(10, rate=rate)
    for ids in batches:
        frequency.update(tf.constant(ids))
    return frequency


def probability(frequency: Frequency, row: int) -> float:
    return float(frequency(tf.constant([row]))[0])


def every(gap: int, steps: int, start: int = 0) -> List[List[int]]:
    return [[3] if step % gap == start else [OTHER] for step in range(steps)]


def test_the_first_sightings_count_by_their_plain_mean() -> None:
    # Seen at steps 1, 4 and 5: gaps 1, 3, 1, mean 5/3.
    assert probability(run([[3], [OTHER], [OTHER], [3], [3]]), 3) == pytest.approx(3 / 5)


def test_later_sightings_count_by_the_rate() -> None:
    # B: 1; then a = max(0.5, 1/2): (1 + 3) / 2 = 2; then a = 0.5: (2 + 1) / 2 = 1.5.
    assert probability(run([[3], [OTHER], [OTHER], [3], [3]], rate=0.5), 3) == pytest.approx(1 / 1.5)


def test_an_item_every_five_steps_converges_to_a_fifth() -> None:
    # The first gap is 1, not 5. After 200 sightings it weighs 0.99 ** 100 / 100 = 0.4 %: p is within 0.3 % of 0.2.
    assert probability(run(every(5, 1000)), 3) == pytest.approx(0.2, rel=0.005)


def test_what_was_long_ago_is_forgotten() -> None:
    # 40 sightings 2 steps apart, then 40 of 10: the mean of all would be 6, of the newest it is 10.
    stream = every(2, 80) + every(10, 400)
    assert probability(run(stream, rate=0.2), 3) == pytest.approx(0.1, rel=0.01)


def test_an_item_twice_in_a_batch_is_one_sighting() -> None:
    once, twice = run([[3], [OTHER], [3]]), run([[3, 3, OTHER, 3], [OTHER], [3, 3]])
    for one, two in zip(once.variables, twice.variables):
        assert one.numpy().tolist()[:5] == two.numpy().tolist()[:5] if one.shape.rank else one == two


def test_items_of_one_batch_do_not_touch_each_other() -> None:
    frequency = run([[3, 4], [4], [4], [3, 4]])
    # 3: gaps 1 and 3; 4: in every batch.
    assert frequency(tf.constant([3, 4])).numpy().tolist() == pytest.approx([1 / 2, 1.0])


def test_what_was_never_seen_counts_as_seen_once_in_all_steps() -> None:
    assert probability(run([]), 3) == 1.0
    assert probability(run([[OTHER]] * 10), 3) == pytest.approx(1 / 10)


def test_probability_stays_above_what_the_retrieval_task_clips() -> None:
    frequency = run([[3]])
    frequency.mean_gap.assign(tf.fill([10], 1e9))
    assert probability(frequency, 3) == pytest.approx(1 / LARGEST_GAP) == pytest.approx(1e-6)


def test_a_graph_counts_as_eager_code_does() -> None:
    frequency = Frequency(10, rate=0.01)

    @tf.function(autograph=False)
    def step(ids: tf.Tensor) -> tf.Tensor:
        frequency.update(ids)
        return frequency(ids)

    # Read after the update: 3 at steps 1 and 3, gaps 1 and 2.
    assert [float(step(tf.constant([row]))[0]) for row in (3, 4, 3)] == pytest.approx([1.0, 1 / 2, 1 / 1.5])


def test_nothing_of_it_is_trained() -> None:
    assert not Frequency(10, rate=0.01).trainable_variables
