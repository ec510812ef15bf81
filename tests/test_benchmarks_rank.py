"""The benchmark of `rank`: what it compares must be equal, and what it counts must be so."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

import numpy as np
import pytest
import tensorflow as tf

from pipeline import saved_models
from pipeline.layers.target_attention import TargetAttention
from pipeline.prepared import Prepared
from tests import built_models
from tests.benchmarks import common_forms, rank, rank_over_grpc, sessions


def test_it_measures_each_signature_at_each_number_of_candidates(tiny_prepared: Prepared) -> None:
    built = built_models.built("din", tiny_prepared)
    measured = rank.measure(built, tiny_prepared, candidates=(3, 5), history=2, rounds=2)
    found = [(one.signature, one.candidates, one.history, one.rounds) for one in measured]
    assert found == [("rank", 3, 2, 2), ("rank_items", 3, 2, 2), ("rank", 5, 2, 2), ("rank_items", 5, 2, 2)]
    # Tiled, the user and the history are sent once for each candidate, so it is below the number of candidates.
    ratio: Dict[int, float] = {one.candidates: one.bytes_ratio for one in measured if one.signature == "rank"}
    assert 1 < ratio[3] < 3 and ratio[3] < ratio[5] < 5
    by_ids = next(one for one in measured if one.signature == "rank_items" and one.candidates == 5)
    # 50 cells and 5 ids of 8 bytes, and the names of the inputs: genres and years are not sent.
    assert ratio[5] < by_ids.bytes_ratio and 55 * 8 < by_ids.request_bytes < 2000
    assert all(one.tiled_ratio > 0 and one.common_ratio > 0 and one.common_cpu_ratio > 0 for one in measured)
    assert {len(row) for row in rank.table(measured)} == {12}


def test_the_common_form_is_the_same_function_with_one_first_layer(tiny_prepared: Prepared, tmp_path: Path) -> None:
    built = built_models.built("deepfm", tiny_prepared)
    for variable in built.model.trainable_variables:
        variable.assign(np.random.default_rng(1).normal(scale=0.3, size=variable.shape))
    ways = rank.signatures(built, tiny_prepared)
    saved_models.save(tuple(ways.values()), built.encoder, tmp_path / "1")
    asked = rank.questions(built, tiny_prepared, ways, 6, None)
    rank._check_equal(sessions.calls(tmp_path / "1", asked))
    # Two hidden layers and the last one; the split form has a product for each side.
    products = {name: [op.type for op in ways[name].trace().graph.get_operations()].count("MatMul") for name in ways}
    assert products["common"] == 3 < products["serving_default"]


def test_the_plain_attention_is_the_folded_one() -> None:
    layer = TargetAttention((4, 3), seed=1, activation="sigmoid", softmax=False)
    keys, length, query = tf.random.normal([2, 5, 3]), tf.constant([5, 5]), tf.random.normal([2, 3])
    valid = tf.sequence_mask(length, 5)
    layer((keys, length, query))
    plain = common_forms.plain_attention(layer, keys, length, query, valid, False)
    np.testing.assert_allclose(plain, layer._scores_of_pairs(keys, length, query, valid, False), atol=1e-5)
    np.testing.assert_allclose(plain, layer._scores_of_candidates(keys, length, query[:, tf.newaxis])[:, 0], atol=1e-5)


def test_it_measures_over_grpc(tiny_prepared: Prepared, tmp_path: Path) -> None:
    built = built_models.built("two_tower", tiny_prepared)
    measured = rank_over_grpc.measure(built, tiny_prepared, tmp_path, candidates=4, history=3, rounds=2)
    assert {(one.signature, one.candidates, one.history, one.rounds) for one in measured} == {
        ("rank", 4, 3, 2), ("rank_items", 4, 3, 2)
    }
    assert {len(row) for row in rank_over_grpc.table(measured)} == {8}


def test_ways_that_disagree_are_not_compared() -> None:
    same = np.array([0.1, 0.2])
    rank._check_equal({"rank": lambda: {"score": same[np.newaxis]}, "common": lambda: {"score": same}})
    with pytest.raises(AssertionError):
        rank._check_equal({"rank": lambda: {"score": same[np.newaxis]}, "common": lambda: {"score": same + 1e-3}})


def test_the_row_is_cut_to_its_newest_cells_and_padded(tiny_prepared: Prepared) -> None:
    built = built_models.built("din", tiny_prepared)
    (history,) = rank._sequences(built)
    row = rank._row(built, tiny_prepared, None)
    short = rank._row(built, tiny_prepared, 2)
    length = int(row["history_length"][0])
    assert length > 2 and row["history"].shape == short["history"].shape == (1, history.maximum_length)
    assert short["history_length"].tolist() == [2]
    assert short["history"][0, :2].tolist() == row["history"][0, length - 2 : length].tolist()
