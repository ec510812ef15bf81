"""The benchmark of `rank`: what it compares must be equal, and what it counts must be so."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.prepared import Prepared
from tests import built_models
from tests.benchmarks import rank


def test_it_measures_each_number_of_candidates(tiny_prepared: Prepared) -> None:
    built = built_models.built("din", tiny_prepared)
    measured = rank.measure(built, tiny_prepared, candidates=(3, 5), history=2, rounds=2)
    assert [(one.candidates, one.history, one.rounds) for one in measured] == [(3, 2, 2), (5, 2, 2)]
    # Tiled, the user and the history are sent once for each candidate, so it is below the number of candidates.
    assert 1 < measured[0].bytes_ratio < 3 and measured[0].bytes_ratio < measured[1].bytes_ratio < 5
    assert all(one.plain_ratio is not None and one.ratio > 0 and one.cpu_ratio > 0 for one in measured)
    assert [len(row) for row in rank.table(measured)] == [10, 10, 10]


def test_only_an_attention_by_the_candidate_has_a_plain_form(tiny_prepared: Prepared) -> None:
    (one,) = rank.measure(built_models.built("deepfm", tiny_prepared), tiny_prepared, candidates=(2,), rounds=2)
    assert one.plain_ratio is None


def test_ways_that_disagree_are_not_compared() -> None:
    same = np.array([0.1, 0.2])
    rank._check_equal({"rank": lambda: {"score": same[np.newaxis]}, "tiled": lambda: {"score": same}})
    with pytest.raises(AssertionError):
        rank._check_equal({"rank": lambda: {"score": same[np.newaxis]}, "tiled": lambda: {"score": same + 1e-3}})


def test_the_row_is_cut_to_its_newest_cells_and_padded(tiny_prepared: Prepared) -> None:
    built = built_models.built("din", tiny_prepared)
    (history,) = rank._sequences(built)
    row = rank._row(built, tiny_prepared, None)
    short = rank._row(built, tiny_prepared, 2)
    length = int(row["history_length"][0])
    assert length > 2 and row["history"].shape == short["history"].shape == (1, history.maximum_length)
    assert short["history_length"].tolist() == [2]
    assert short["history"][0, :2].tolist() == row["history"][0, length - 2 : length].tolist()
