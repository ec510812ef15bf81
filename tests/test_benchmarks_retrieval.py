"""The retrieval benchmark measures what it says: every way, at the recall that it states."""

from __future__ import annotations

import math

import numpy as np

from tests.benchmarks import retrieval


def test_it_measures_every_way() -> None:
    measured = retrieval.measure(items=3000, rounds=2, batches=(1, 4))
    ways = {each.way for each in measured}
    assert len(ways) in (3, 4)  # ScaNN is not everywhere
    assert [(m.batch, m.rounds) for m in measured] == [(1, 2)] * len(ways) + [(4, 2)] * len(ways)
    for each in measured:
        low, high = each.quartiles
        assert 0 < low <= each.ratio <= high and each.milliseconds > 0 and each.cpu_ratio > 0
        if each.way.startswith(("brute", "exact")):
            assert each.recall == 1.0
        if each.way.startswith("inverted"):
            assert 0.9 < each.recall < 1.0
        assert each.way.startswith("ScaNN") or (each.bound_milliseconds > 0 and not math.isnan(each.bound_milliseconds))
    assert {len(row) for row in retrieval.table(measured)} == {10}


def test_vectors_are_clustered_and_their_norms_vary() -> None:
    vectors, users = retrieval.data(4000)
    assert vectors.shape == (4000, 64) and users.shape[1] == 64 and vectors.dtype == np.float32
    logs = np.log(np.linalg.norm(vectors, axis=1))
    assert 0.3 < logs.std() < 0.6
    # The spectrum falls: deviations of 1 / sqrt(place) make the first axis 64 times the last in variance.
    spectrum = np.linalg.eigvalsh(np.cov(vectors.T))
    assert 20 < spectrum[-1] / spectrum[0] < 200
