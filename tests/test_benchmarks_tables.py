"""The benchmark of lazy updates: it trains both ways on the same batches, and says which is faster."""

from __future__ import annotations

from tests.benchmarks import tables


def test_it_measures_both_ways() -> None:
    measured = tables.measure(26 * 50, steps=1, rounds=2)
    assert measured.dense_milliseconds > 0 and measured.lazy_milliseconds > 0 and measured.rounds == 2
    low, high = measured.quartiles
    assert 0 < low <= measured.ratio <= high
    assert [len(row) for row in tables.table([measured])] == [8, 8]
    assert measured.lazy_cpu_milliseconds > 0 and min(measured.page_faults) >= 0


def test_frequent_ids_are_frequent_and_all_are_inside_their_table() -> None:
    ids = tables._batch(1000, seed=1).features["id_3"].numpy()
    # 1 / rank: the first ten of a thousand ranks have a third of the mass, log(11) / log(1000) = 0.35.
    assert 0.3 < (ids < 10).mean() < 0.4
    assert ids.min() == 0 and ids.max() < 1000
