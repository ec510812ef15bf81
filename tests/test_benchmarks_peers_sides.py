"""What each side of the side-by-side benchmark runs, in sizes that only show that it does; DeepCTR aside, which is not
installed here."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.peers import counting, limits, tfrs_side
from tests.benchmarks.peers.comparisons import BY_NAME, SIGNET, Side
from tests.benchmarks.peers.work import Settings, Work


def prepared(side: Side, settings: Settings, folder: Path) -> Work:
    module, _, function = side.what.partition(":")
    settings = {**settings, "peer_export": str(folder / "peer" / "1"), "signet_export": str(folder / "signet" / "1")}
    made: Work = getattr(importlib.import_module(module), function)(settings)
    return made


@pytest.mark.parametrize("name", ["train-deepfm-100k", "train-din", "train-two-tower"])
def test_signet_trains(name: str, tmp_path: Path) -> None:
    comparison = BY_NAME[name].quickly()
    assert comparison.signet.environment == SIGNET
    work = prepared(comparison.signet, comparison.settings, tmp_path)
    losses = [work.run() for _ in range(4)]
    # A round is the same batches again: what is not trained would not fall.
    assert losses[3] < losses[0] and math.isfinite(losses[3])
    assert work.steps == comparison.settings["signet_steps"] and work.facts["gigaflop"] > 0


@pytest.mark.parametrize("name", ["rank-din-25", "rank-deepfm"])
def test_signet_ranks_from_raw_ids(name: str, tmp_path: Path) -> None:
    comparison = BY_NAME[name].quickly()
    work = prepared(comparison.signet, comparison.settings, tmp_path)
    # Twenty candidates of an untrained model, each near a half.
    assert work.run() == pytest.approx(10.0, abs=1.0) and work.run() == work.run()


def test_tfrs_trains_the_same_towers(tmp_path: Path) -> None:
    comparison = BY_NAME["train-two-tower"].quickly()
    work = prepared(comparison.peer, comparison.settings, tmp_path)
    losses = [work.run() for _ in range(4)]
    assert losses[3] < losses[0]


@pytest.mark.parametrize("how", ["exact", "inverted_file", "scann"])
def test_signet_retrieves_what_it_is_measured_for(how: str, tmp_path: Path) -> None:
    comparison = BY_NAME[f"retrieve-{how.replace('_', '-')}-32"].quickly()
    work = prepared(comparison.signet, comparison.settings, tmp_path)
    assert math.isfinite(work.run()) and work.steps == comparison.settings["calls"]
    assert work.facts["recall"] > (0.999 if how == "exact" else 0.7)


def test_brute_force_finds_the_truth() -> None:
    work = tfrs_side.brute_force({"items": 300, "width": 8, "queries": 2, "calls": 2})
    assert work.facts["recall"] > 0.999 and math.isfinite(work.run())


def test_recall_is_the_share_of_the_true_hundred() -> None:
    generator = np.random.default_rng(1)
    queries, vectors = generator.normal(size=(2, 4)), generator.normal(size=(150, 4))
    order = np.argsort(-(queries @ vectors.T), axis=1)
    assert tfrs_side.recall(queries, vectors, order[:, :100]) == 1.0
    assert tfrs_side.recall(queries, vectors, np.delete(order, range(70, 120), axis=1)) == pytest.approx(0.7)


def test_dense_layers_count_two_operations_a_weight_and_row() -> None:
    assert counting.dense(10, [3, 4, 1]) == pytest.approx(2e-9 * 10 * (12 + 4))
    assert counting.dense(10, [3, 4], counting.TRAINING) == pytest.approx(2e-9 * 10 * 12 * 3)


def test_the_triad_is_computed_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "NUMBERS", 5 * limits.PIECE)
    found: Any = limits.triad()()
    assert found.shape == (5 * limits.PIECE,) and (found == 1.0 + 3.0 * 2.0).all()
